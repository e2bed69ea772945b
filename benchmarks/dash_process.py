"""`rcsweep dash` as a process of its own, as users start it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60.0
_END_SECONDS = 20.0
_POLL_SECONDS = 0.02


class DashProcess:
    """One run of the command; it ends with the `with` block.

    Attributes:
        address: of the first page, as the command prints it.
        origin: scheme, host and port of every page.
        pid: of the process.

    Args:
        arguments: of `rcsweep dash`, without `--port`.
        output: file that takes stdout and stderr.

    Raises:
        RuntimeError: it ended, or printed no address in time.
    """

    def __init__(self, *arguments: str, output: Path) -> None:
        self._output = output
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tune_experiments", "dash", *arguments, "--port", str(port)],
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid
        try:
            self.address = self._wait_for_address()
        except RuntimeError:
            self.end()
            raise

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text(errors="replace")

    def _wait_for_address(self) -> str:
        deadline_seconds = time.monotonic() + START_SECONDS
        while (found := re.search(r"rcsweep dash: (http\S+)", self.output)) is None:
            if self._process.poll() is not None:
                raise RuntimeError(f"rcsweep dash ended with code {self._process.returncode}:\n{self.output}")
            if time.monotonic() > deadline_seconds:
                raise RuntimeError(f"rcsweep dash has no address after {START_SECONDS:g} s:\n{self.output}")
            time.sleep(_POLL_SECONDS)
        return found[1]

    def end(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
