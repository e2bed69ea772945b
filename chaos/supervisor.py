"""The command of a sweep, given again and again until the sweep is complete."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.driver import Driver
from rc_core.experiment import DRIVER_FILE, read_json
from rc_core.storage import LocalStorage

# Generous: they only end a harness that would hang.
START_LIMIT_SECONDS = 300.0
END_LIMIT_SECONDS = 1200.0

EXIT_COMPLETE, EXIT_REFUSED, EXIT_CELLS_FAILED, EXIT_INTERRUPTED = 0, 2, 3, 130


class Supervisor:
    """Starts the command, and starts it again where a driver ended before the sweep was complete.

    Attributes:
        driver: the newest one; None before the first start.
        since_seconds: Unix time at which it was started.
        num_starts: drivers started.
        exits: how they ended, by exit code.
        violations: exits that no fault explains, a line each.

    Args:
        arguments: of `rcsweep`; every driver gets the same.
        experiment: the folder that they lead to.
        scratch: takes the drivers' output.
        source: folder of the packages that drivers run.
        environment: for the drivers.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        experiment: Path,
        scratch: Path,
        source: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._arguments, self._storage, self._scratch = arguments, LocalStorage(experiment), scratch
        self._source, self._environment = source, environment
        self._started: list[Driver] = []
        self.driver: Driver | None = None
        self.since_seconds = 0.0
        self.num_starts = 0
        self.exits: Counter[int] = Counter()
        self.violations: list[str] = []

    def keep_running(self) -> bool:
        """Start a driver where none runs; False once the sweep is complete, or cannot go on.

        Raises:
            TimeoutError: a driver does not come up.
        """
        if self.driver is not None:
            code = self.driver.exit_code()
            if code is None:
                return True
            self.exits[code] += 1
            if code == EXIT_COMPLETE:
                return False
            if code not in (EXIT_CELLS_FAILED, EXIT_INTERRUPTED, -signal.SIGKILL):
                self.violations.append(f"a driver ended with exit code {code}:\n{self.output()}")
                return False
        self.since_seconds = time.time()
        self.driver = self.start_one()
        self.num_starts += 1
        # Only from the first heartbeat on is it the driver of the sweep.
        self.driver.wait_until(self._heart_beats, START_LIMIT_SECONDS)
        return True

    def finish(self, max_starts: int = 10) -> None:
        """Let the sweep end, with more starts where they are needed.

        Raises:
            TimeoutError: a driver hangs.
        """
        last_start = self.num_starts + max_starts
        while self.keep_running():
            if self.num_starts > last_start:
                self.violations.append(
                    f"not complete after {max_starts} undisturbed starts:\n{self.output()}"
                )
                return
            assert self.driver is not None
            self.driver.wait(END_LIMIT_SECONDS)

    def start_one(self) -> Driver:
        """Give the command, whether or not a driver runs."""
        output = self._scratch / f"driver-{len(self._started):03d}.txt"
        driver = Driver(self._arguments, output, environment=self._environment, folder=self._source)
        self._started.append(driver)
        return driver

    def output(self) -> str:
        """The last lines of the newest driver."""
        return self.driver.output[-3000:] if self.driver is not None else ""

    def close(self) -> None:
        """End whatever is left of the drivers."""
        for driver in self._started:
            driver.end_processes()

    def _heart_beats(self) -> bool:
        assert self.driver is not None
        with contextlib.suppress(ValueError):
            heartbeat = read_json(self._storage, DRIVER_FILE)
            return heartbeat is not None and heartbeat.get("pid") == self.driver.pid
        return False
