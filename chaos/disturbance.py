"""One sweep and the faults that are done to it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.cells import RunningCell, finished_cells, running_cells, whole_checkpoints
from chaos.damage import cut_in_half, flip_byte, strew
from chaos.disk import SmallDisk
from chaos.driver import Driver
from chaos.ledger import Ledger
from chaos.nodes import Nodes
from rc_core.checkpoints import TENSORS_FILE
from rc_core.experiment import (
    ATTEMPTS_FILE,
    DRIVER_FILE,
    FAILURE_FILE,
    RECORD_FILE,
    read_json,
    read_record,
    write_json,
)
from rc_core.storage import LocalStorage

# Generous: they only end a harness that would hang.
START_LIMIT_SECONDS = 300.0
END_LIMIT_SECONDS = 1200.0
FAULT_LIMIT_SECONDS = 120.0

CLOCK_JUMP_SECONDS = 5 * 3600.0
DISK_FULL_SECONDS = 3.0
HALF_JSON = b'{"format": 1, "row": {"cell_id": "tra'

EXIT_COMPLETE, EXIT_REFUSED, EXIT_CELLS_FAILED, EXIT_INTERRUPTED = 0, 2, 3, 130


class Disturbance:
    """A sweep under faults. `inject` does one, `finish` lets the sweep end.

    Attributes:
        ledger: of the finished cells.
        injected: number of faults done, by kind.
        exits: how the drivers ended, by exit code.
        violations: properties that did not hold, a line each; the ledger has its own.

    Args:
        arguments: of `rcsweep run`; every driver gets the same.
        experiment: the folder that they lead to.
        scratch: takes the drivers' output.
        source: folder of the packages that drivers run.
        rng: chooses cells, bytes and pauses.
        environment: for the drivers.
        nodes: the cluster that they join, if there is one.
        disk: the disk that the experiment lies on, if it can be filled.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        experiment: Path,
        scratch: Path,
        source: Path,
        rng: random.Random,
        *,
        environment: Mapping[str, str],
        nodes: Nodes | None = None,
        disk: SmallDisk | None = None,
    ) -> None:
        self._arguments, self._experiment, self._scratch, self._source = (
            arguments,
            experiment,
            scratch,
            source,
        )
        self._rng, self._environment, self._nodes, self._disk = rng, environment, nodes, disk
        self._storage = LocalStorage(experiment)
        self._drivers: list[Driver] = []
        self._driver: Driver | None = None
        self._since_seconds = 0.0
        self.ledger = Ledger(experiment)
        self.injected: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()
        self.violations: list[str] = []
        self._faults: dict[str, Callable[[RunningCell], bool]] = {
            "worker-killed": lambda cell: self._kill_frozen(cell, lambda folder: True),
            "checkpoint-corrupted": lambda cell: self._kill_frozen(cell, self._corrupt_checkpoint),
            "checkpoint-truncated": lambda cell: self._kill_frozen(cell, _truncate_checkpoint),
            "attempts-torn": lambda cell: self._kill_frozen(cell, _tear_attempts),
            "failure-torn": lambda cell: self._kill_frozen(cell, _plant_half(FAILURE_FILE)),
            "record-torn-early": lambda cell: self._kill_frozen(cell, _plant_half(RECORD_FILE)),
            "record-destroyed": self._destroy_record,
            "stop-garbage": self._write_stop_garbage,
            "stray-files": self._strew,
            "second-driver": lambda cell: self._try_second_driver(),
            "clock-back": self._set_clock_back,
            "driver-killed": lambda cell: self._kill_driver(lambda heartbeat: heartbeat),
            "clock-forward": lambda cell: self._kill_driver(_in_the_future),
            "stale-lock": lambda cell: self._kill_driver(_of_a_living_process),
            "interrupted": lambda cell: self._interrupt(Driver.press_ctrl_c),
            "terminated": lambda cell: self._interrupt(Driver.terminate),
            "disk-full": self._fill_disk,
            "node-killed": self._kill_node,
        }

    @property
    def num_starts(self) -> int:
        """Drivers started, second ones not counted."""
        return len(self._drivers)

    def inject(self, kind: str) -> bool:
        """Do a fault as soon as the sweep has a cell for it; False when the sweep ended before."""
        deadline_seconds = time.monotonic() + START_LIMIT_SECONDS
        while True:
            if not self._keep_running():
                return False
            cells = running_cells(self._experiment, self._since_seconds)
            self.ledger.look()
            if cells and self._faults[kind](self._rng.choice(cells)):
                self.injected[kind] += 1
                self.ledger.look()
                return True
            if time.monotonic() > deadline_seconds:
                raise TimeoutError(
                    f"{kind}: no occasion within {START_LIMIT_SECONDS:.0f} s:\n{self._output()}"
                )
            time.sleep(0.05)

    def finish(self, max_starts: int = 10) -> None:
        """Let the sweep end, starting the driver again where it ended incomplete.

        Raises:
            TimeoutError: a driver hangs.
        """
        last_start = self.num_starts + max_starts
        while self._keep_running():
            assert self._driver is not None
            self._driver.wait(END_LIMIT_SECONDS)
            if self.num_starts > last_start:
                self.violations.append(
                    f"not complete after {max_starts} undisturbed starts:\n{self._output()}"
                )
                return
        self.ledger.look()

    def close(self) -> None:
        """End whatever is left of the drivers."""
        for driver in self._drivers:
            driver.end_processes()

    def _keep_running(self) -> bool:
        """Start a driver where none runs; False once the sweep is complete, or it cannot go on."""
        if self._driver is not None:
            code = self._driver.exit_code()
            if code is None:
                return True
            self.exits[code] += 1
            if code == EXIT_COMPLETE:
                return False
            if code not in (EXIT_CELLS_FAILED, EXIT_INTERRUPTED, -signal.SIGKILL):
                self.violations.append(f"a driver ended with exit code {code}:\n{self._output()}")
                return False
        self._since_seconds = time.time()
        self._driver = self._start()
        self._drivers.append(self._driver)
        # Only from the first heartbeat on is it the driver of the sweep.
        self._driver.wait_until(self._heart_beats, START_LIMIT_SECONDS)
        return True

    def _start(self) -> Driver:
        output = self._scratch / f"driver-{len(list(self._scratch.glob('driver-*'))):03d}.txt"
        return Driver(self._arguments, output, environment=self._environment, folder=self._source)

    def _heart_beats(self) -> bool:
        assert self._driver is not None
        with contextlib.suppress(ValueError):
            heartbeat = read_json(self._storage, DRIVER_FILE)
            return heartbeat is not None and heartbeat.get("pid") == self._driver.pid
        return False

    def _output(self) -> str:
        return self._driver.output[-3000:] if self._driver is not None else ""

    # Faults: each returns whether it could be done.

    def _kill_frozen(self, cell: RunningCell, damage: Callable[[Path], bool]) -> bool:
        """SIGSTOP, damage, SIGKILL, as long as the process really is at this cell and can be damaged so."""
        try:
            os.kill(cell.pid, signal.SIGSTOP)
            is_at_it = read_record(LocalStorage(cell.folder)) is None
            done = is_at_it and damage(cell.folder)
            os.kill(cell.pid, signal.SIGKILL if done else signal.SIGCONT)
        except ProcessLookupError:
            return False
        return done

    def _corrupt_checkpoint(self, folder: Path) -> bool:
        checkpoints = whole_checkpoints(folder)
        if checkpoints:
            flip_byte(checkpoints[0] / TENSORS_FILE, self._rng)
        return bool(checkpoints)

    def _destroy_record(self, _: RunningCell) -> bool:
        finished = finished_cells(self._experiment)
        if not finished:
            return False
        folder = self._rng.choice(finished)
        self.ledger.destroy(folder.name)
        cut_in_half(folder / RECORD_FILE)
        return True

    def _write_stop_garbage(self, _: RunningCell) -> bool:
        self._storage.write("stop.json", b'{"driver": "0')
        return True

    def _strew(self, cell: RunningCell) -> bool:
        strew(self._experiment, cell.folder)
        return True

    def _try_second_driver(self) -> bool:
        """Give the command once more; no fault if the first driver ended meanwhile, since then it may run."""
        assert self._driver is not None
        second = self._start()
        try:
            code = second.wait(FAULT_LIMIT_SECONDS if self._driver.exit_code() is None else END_LIMIT_SECONDS)
        except TimeoutError:
            code = -signal.SIGKILL
        finally:
            second.end_processes()
        if self._driver.exit_code() is not None:
            return False
        if code != EXIT_REFUSED or f"process {self._driver.pid} " not in second.output:
            self.violations.append(f"a second driver was not refused, exit code {code}:\n{second.output}")
        return True

    def _set_clock_back(self, _: RunningCell) -> bool:
        heartbeat = read_json(self._storage, DRIVER_FILE)
        assert heartbeat is not None
        heartbeat["time"] -= CLOCK_JUMP_SECONDS
        write_json(self._storage, DRIVER_FILE, heartbeat)
        return self._try_second_driver()

    def _kill_driver(self, change: Callable[[dict[str, object]], dict[str, object]]) -> bool:
        assert self._driver is not None
        if self._driver.exit_code() is not None:
            return False
        self._driver.kill()
        heartbeat = read_json(self._storage, DRIVER_FILE)
        assert heartbeat is not None
        if heartbeat["ended"] is None:
            write_json(self._storage, DRIVER_FILE, change(heartbeat))
        return True

    def _interrupt(self, ask: Callable[[Driver], None]) -> bool:
        assert self._driver is not None
        if self._driver.exit_code() is not None:
            return False
        ask(self._driver)
        code = self._driver.wait(FAULT_LIMIT_SECONDS)
        if code not in (EXIT_COMPLETE, EXIT_CELLS_FAILED, EXIT_INTERRUPTED):
            self.violations.append(f"exit code {code} after a signal:\n{self._output()}")
        return True

    def _fill_disk(self, _: RunningCell) -> bool:
        assert self._disk is not None
        self._disk.fill()
        time.sleep(DISK_FULL_SECONDS)
        self._disk.free()
        return True

    def _kill_node(self, _: RunningCell) -> bool:
        assert self._nodes is not None
        self._nodes.kill_one(self._rng)
        self._nodes.add_one()
        return True


def _truncate_checkpoint(folder: Path) -> bool:
    checkpoints = whole_checkpoints(folder)
    if checkpoints:
        cut_in_half(checkpoints[0] / TENSORS_FILE)
    return bool(checkpoints)


def _tear_attempts(folder: Path) -> bool:
    cut_in_half(folder / ATTEMPTS_FILE)
    return True


def _plant_half(name: str) -> Callable[[Path], bool]:
    def plant(folder: Path) -> bool:
        (folder / name).write_bytes(HALF_JSON)
        return True

    return plant


def _in_the_future(heartbeat: dict[str, object]) -> dict[str, object]:
    return heartbeat | {"time": time.time() + CLOCK_JUMP_SECONDS}


def _of_a_living_process(heartbeat: dict[str, object]) -> dict[str, object]:
    return heartbeat | {"time": time.time(), "pid": os.getpid()}
