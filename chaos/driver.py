"""`rcsweep run` as a process, with everything it starts, so that it can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_SECONDS = 0.05


class Driver:
    """One run of the command, started when it is made.

    Its process leads a session (setsid) that Ray's processes stay in: so they are found after it died.

    Attributes:
        pid: of the driver, and of its session.

    Args:
        arguments: of `rcsweep`.
        output: file that takes stdout and stderr.
        environment: added to this process's own.
        folder: where the command runs; a copy of the packages there wins over the installed one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tune_experiments", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text(errors="replace")

    def exit_code(self) -> int | None:
        """As `subprocess` has it: None while it lives, negative for the signal that ended it."""
        return self._process.poll()

    def wait(self, limit_seconds: float) -> int:
        """Exit code, once there is one.

        Raises:
            TimeoutError: it lives on after the limit; it is killed.
        """
        try:
            return self._process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(
                f"the driver did not end within {limit_seconds:.0f} s:\n{self.output}"
            ) from None

    def wait_until(self, condition: Callable[[], bool], limit_seconds: float) -> bool:
        """Wait for something that the sweep does; False when the driver ended before.

        Raises:
            TimeoutError: neither happened within the limit.
        """
        deadline_seconds = time.monotonic() + limit_seconds
        while not condition():
            if self.exit_code() is not None:
                return condition()
            if time.monotonic() > deadline_seconds:
                raise TimeoutError(f"not within {limit_seconds:.0f} s:\n{self.output}")
            time.sleep(POLL_SECONDS)
        return True

    def press_ctrl_c(self) -> None:
        """SIGINT to the process group, as a terminal sends it: Ray's own processes get it, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM to the driver alone, as batch systems send it."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the driver alone; what it started has to notice."""
        self._process.kill()
        self._process.wait()

    def processes(self) -> list[int]:
        """Ids of the living processes of its session."""
        return session_processes(self.pid)

    def end_processes(self) -> None:
        """Kill the driver and whatever it started; for the very end."""
        if self.exit_code() is None:
            self.kill()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def session_processes(session: int) -> list[int]:
    """Ids of the living processes of a session (setsid); zombies are left out."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        state, _, _, session_text = stat.rpartition(")")[2].split()[:4]  # the name before may hold spaces
        if int(session_text) == session and state != "Z":
            found.append(int(entry))
    return found


def process_is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
