"""One driver per experiment: the second is refused, and a dead one's lock is recognised.

Between processes of one machine an flock decides: the kernel drops it when its process dies, however it dies.
Everywhere else the heartbeat in `driver.json` does.
"""

from __future__ import annotations

import fcntl
from typing import IO, Any

from rc_core.experiment import DamagedFileError, read_driver
from rc_core.processes import process_space
from rc_core.storage import LocalStorage, Storage
from tune_experiments.plan import PlanError

LOCK_FILE = "driver.lock"


class DriverLock:
    """Held from `acquire` to `release`, or to the death of the process."""

    def __init__(self, experiment: Storage) -> None:
        self._experiment = experiment
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            PlanError: another driver lives; the message names it.
        """
        driver = _read_heartbeat(self._experiment)
        if isinstance(self._experiment, LocalStorage):
            self._experiment.path.mkdir(parents=True, exist_ok=True)
            self._file = open(self._experiment.path / LOCK_FILE, "ab")  # noqa: SIM115 (kept open to hold it)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                self._file = None
                raise _refusal(self._experiment, driver) from None
            if driver is not None and driver.get("process_space") == process_space():
                return  # it would hold the flock if it lived; its process id belongs to another process now
        if driver is not None:
            self.release()
            raise _refusal(self._experiment, driver)

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _read_heartbeat(experiment: Storage) -> dict[str, Any] | None:
    try:
        return read_driver(experiment)
    except DamagedFileError:  # no driver writes such a file; ours will replace it
        return None


def _refusal(experiment: Storage, driver: dict[str, Any] | None) -> PlanError:
    who = f"process {driver['pid']} on {driver['host']}" if driver else "another process on this host"
    return PlanError(
        f"{experiment.location}: {who} runs this sweep already; watch it with 'rcsweep status', or stop it "
        "with Ctrl-C (or SIGTERM) first"
    )
