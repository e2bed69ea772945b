"""Asking running trials, wherever they run, to write a checkpoint and end: a file beside the cells.

Storage is what driver and trials share in any case; an actor would have to survive the very faults that a
stop is often the answer to.
"""

from __future__ import annotations

import time

from rc_core.experiment import DamagedFileError, read_json, write_json
from rc_core.storage import LocalStorage, Storage, open_storage

STOP_FILE = "stop.json"


def request_stop(experiment: Storage, driver_token: str) -> None:
    """Ask the trials of one driver to stop."""
    write_json(experiment, STOP_FILE, {"driver": driver_token})


def clear_stop_request(experiment: Storage) -> None:
    """Remove the request."""
    experiment.delete(STOP_FILE)


class StopPoll:
    """Whether the trials of a driver are asked to stop; looks at storage only now and then.

    Args:
        experiment: the experiment's folder.
        driver_token: requests to other drivers' trials, e.g. a forgotten one, do not count.
    """

    def __init__(self, experiment: Storage, driver_token: str) -> None:
        self._experiment = open_storage(experiment.location, patience_seconds=0)
        self._driver_token = driver_token
        self._every_seconds = 1.0 if isinstance(experiment, LocalStorage) else 10.0
        self._next_seconds = time.monotonic() + self._every_seconds

    def __call__(self) -> bool:
        """Cheap enough to be asked after every step."""
        if time.monotonic() < self._next_seconds:
            return False
        self._next_seconds = time.monotonic() + self._every_seconds
        try:
            request = read_json(self._experiment, STOP_FILE)
        except (DamagedFileError, OSError):  # no driver writes half a request; an outage is none either
            return False
        return request is not None and request.get("driver") == self._driver_token
