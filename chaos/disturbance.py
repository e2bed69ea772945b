"""The faults, done to a running sweep."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from chaos.cells import RunningCell, finished_cells, running_cells, whole_checkpoints
from chaos.damage import cut_in_half, flip_byte, strew
from chaos.disk import SmallDisk
from chaos.driver import Driver
from chaos.ledger import Ledger
from chaos.nodes import Nodes
from chaos.supervisor import (
    EXIT_CELLS_FAILED,
    EXIT_COMPLETE,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    START_LIMIT_SECONDS,
    Supervisor,
)
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
from tune_experiments.stop_request import STOP_FILE

FAULT_LIMIT_SECONDS = 120.0
CLOCK_JUMP_SECONDS = 5 * 3600.0
DISK_FULL_SECONDS = 3.0
HALF_JSON = b'{"format": 1, "row": {"cell_id": "tra'
_UNNAMED_DRIVER = "another process on this host runs this sweep already"


class Disturbance:
    """What can be done to a sweep; see faults.py for what each kind means.

    Attributes:
        injected: number of faults done, by kind.
        violations: answers to faults that were wrong, a line each.

    Args:
        supervisor: starts the sweep's drivers.
        experiment: the sweep's folder.
        ledger: of its finished cells.
        rng: chooses cells and bytes.
        nodes: the cluster that the drivers join, if there is one.
        disk: the disk that the experiment lies on, if it can be filled.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        experiment: Path,
        ledger: Ledger,
        rng: random.Random,
        *,
        nodes: Nodes | None = None,
        disk: SmallDisk | None = None,
    ) -> None:
        self._supervisor, self._experiment, self._ledger, self._rng = supervisor, experiment, ledger, rng
        self._nodes, self._disk = nodes, disk
        self._storage = LocalStorage(experiment)
        self.injected: Counter[str] = Counter()
        self.violations: list[str] = []
        # Each returns whether it could be done to that running cell, or to the sweep at that moment.
        self._faults: dict[str, Callable[[RunningCell], bool]] = {
            "worker-killed": lambda cell: _kill_frozen(cell, lambda folder: True),
            "checkpoint-corrupted": lambda cell: _kill_frozen(cell, self._corrupt_checkpoint),
            "checkpoint-truncated": lambda cell: _kill_frozen(cell, _truncate_checkpoint),
            "attempts-torn": lambda cell: _kill_frozen(cell, _tear_attempts),
            "failure-torn": lambda cell: _kill_frozen(cell, _plant_half(FAILURE_FILE)),
            "record-torn-early": lambda cell: _kill_frozen(cell, _plant_half(RECORD_FILE)),
            "record-destroyed": lambda cell: self._destroy_record(),
            "stop-garbage": lambda cell: self._write_stop_garbage(),
            "stray-files": self._strew,
            "second-driver": lambda cell: self._try_second_driver(),
            "clock-back": lambda cell: self._set_clock_back(),
            "driver-killed": lambda cell: self._kill_driver({}),
            "clock-forward": lambda cell: self._kill_driver({"time": time.time() + CLOCK_JUMP_SECONDS}),
            "stale-lock": lambda cell: self._kill_driver({"time": time.time(), "pid": os.getpid()}),
            "interrupted": lambda cell: self._interrupt(Driver.press_ctrl_c),
            "terminated": lambda cell: self._interrupt(Driver.terminate),
            "disk-full": lambda cell: self._fill_disk(),
            "node-killed": lambda cell: self._kill_node(),
        }

    def inject(self, kind: str) -> bool:
        """Do a fault as soon as the sweep has a cell for it; False when the sweep ended before.

        Raises:
            TimeoutError: there was no occasion for it.
        """
        deadline_seconds = time.monotonic() + START_LIMIT_SECONDS
        while self._supervisor.keep_running():
            cells = running_cells(self._experiment, self._supervisor.since_seconds)
            self._ledger.look()
            if cells and self._faults[kind](self._rng.choice(cells)):
                self.injected[kind] += 1
                self._ledger.look()
                return True
            if time.monotonic() > deadline_seconds:
                raise TimeoutError(
                    f"{kind}: no occasion within {START_LIMIT_SECONDS:.0f} s:\n{self._supervisor.output()}"
                )
            time.sleep(0.05)
        return False

    @property
    def _driver(self) -> Driver:
        assert self._supervisor.driver is not None
        return self._supervisor.driver

    def _corrupt_checkpoint(self, folder: Path) -> bool:
        checkpoints = whole_checkpoints(folder)
        if checkpoints:
            flip_byte(checkpoints[0] / TENSORS_FILE, self._rng)
        return bool(checkpoints)

    def _destroy_record(self) -> bool:
        finished = finished_cells(self._experiment)
        if not finished:
            return False
        folder = self._rng.choice(finished)
        self._ledger.destroy(folder.name)
        cut_in_half(folder / RECORD_FILE)
        return True

    def _write_stop_garbage(self) -> bool:
        self._storage.write(STOP_FILE, b'{"driver": "0')
        return True

    def _strew(self, cell: RunningCell) -> bool:
        strew(self._experiment, cell.folder)
        return True

    def _try_second_driver(self) -> bool:
        """Give the command once more; no fault if the first driver ended meanwhile, since then it may run."""
        second = self._supervisor.start_one()
        try:
            code = second.wait(FAULT_LIMIT_SECONDS)
        except TimeoutError:
            code = -signal.SIGKILL
        finally:
            second.end_processes()
        if self._driver.exit_code() is not None:
            return False
        # The lock is there before the heartbeat that says whose it is.
        named = f"process {self._driver.pid} " in second.output or _UNNAMED_DRIVER in second.output
        if code != EXIT_REFUSED or not named:
            self.violations.append(f"a second driver was not refused, exit code {code}:\n{second.output}")
        return True

    def _set_clock_back(self) -> bool:
        heartbeat = read_json(self._storage, DRIVER_FILE)
        assert heartbeat is not None
        heartbeat["time"] -= CLOCK_JUMP_SECONDS
        write_json(self._storage, DRIVER_FILE, heartbeat)
        return self._try_second_driver()

    def _kill_driver(self, changes: dict[str, object]) -> bool:
        """SIGKILL, then change what its last heartbeat says."""
        if self._driver.exit_code() is not None:
            return False
        self._driver.kill()
        heartbeat = read_json(self._storage, DRIVER_FILE)
        assert heartbeat is not None
        if changes and heartbeat["ended"] is None:
            write_json(self._storage, DRIVER_FILE, heartbeat | changes)
        return True

    def _interrupt(self, ask: Callable[[Driver], None]) -> bool:
        if self._driver.exit_code() is not None:
            return False
        ask(self._driver)
        code = self._driver.wait(FAULT_LIMIT_SECONDS)
        if code not in (EXIT_COMPLETE, EXIT_CELLS_FAILED, EXIT_INTERRUPTED):
            self.violations.append(f"exit code {code} after a signal:\n{self._driver.output}")
        return True

    def _fill_disk(self) -> bool:
        assert self._disk is not None
        self._disk.fill()
        time.sleep(DISK_FULL_SECONDS)
        self._disk.free()
        return True

    def _kill_node(self) -> bool:
        assert self._nodes is not None
        self._nodes.kill_one(self._rng)
        self._nodes.add_one()
        return True


def _kill_frozen(cell: RunningCell, damage: Callable[[Path], bool]) -> bool:
    """SIGSTOP, damage, SIGKILL, if the process really is at this cell still and it can be damaged so."""
    try:
        os.kill(cell.pid, signal.SIGSTOP)
        done = read_record(LocalStorage(cell.folder)) is None and damage(cell.folder)
        os.kill(cell.pid, signal.SIGKILL if done else signal.SIGCONT)
    except ProcessLookupError:
        return False
    return done


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
