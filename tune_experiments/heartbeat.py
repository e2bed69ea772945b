"""The driver's heartbeat: a thread that tells storage, and with it other processes, that the sweep lives.

It also carries out what a signal asked for, since a signal handler itself should do next to nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from rc_core.experiment import DRIVER_FILE, DamagedFileError, read_json, write_json
from rc_core.processes import process_space
from rc_core.provenance import host_name
from rc_core.storage import Storage, open_storage
from tune_experiments.progress import LiveDisplay, PlainDisplay, SweepProgress
from tune_experiments.queue import CellQueue
from tune_experiments.stop_request import request_stop

HEARTBEAT_SECONDS = 5.0
REFRESH_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Heartbeat:
    """Writes `driver.json`, keeps the display fresh, and passes a request to stop on to queue and trials.

    Args:
        experiment: the experiment's folder.
        token: of this driver.
        queue: the sweep's cells.
        progress: for the ETA and the number of slots.
        display: what to refresh.
        stop_requested: set when the sweep is to end in order.
    """

    def __init__(
        self,
        experiment: Storage,
        token: str,
        queue: CellQueue,
        progress: SweepProgress,
        display: PlainDisplay | LiveDisplay,
        stop_requested: threading.Event,
    ) -> None:
        # A beat that waits out an outage would come late, and hold up the display and Ctrl-C meanwhile.
        self._experiment = open_storage(experiment.location, patience_seconds=0)
        self._token = token
        self._queue, self._progress, self._display = queue, progress, display
        self._stop_requested = stop_requested
        self._content: dict[str, Any] = {
            "token": token,
            "host": host_name(),
            "process_space": process_space(),
            "pid": os.getpid(),
            "started": time.time(),
            "num_slots": progress.num_slots,
        }
        self._failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: storage cannot be written.
        """
        self._write(ended=None)
        self._thread.start()

    def stop(self) -> None:
        """Write the last beat, which says that the driver ended; not over the heartbeat of another one."""
        self._ended.set()
        self._thread.join()
        self._display.close()
        self._try_to(lambda: self._write(ended=time.time()) if self._read_successor() is None else None)

    def _beat(self) -> None:
        next_write_seconds = time.monotonic() + HEARTBEAT_SECONDS
        passed_on = False
        while not self._ended.wait(REFRESH_SECONDS):
            if self._stop_requested.is_set() and not self._queue.stopped:
                self._queue.stop()
                self._display.event("stopping: running cells write a checkpoint; Ctrl-C again stops at once")
            if self._queue.stopped and not passed_on:
                passed_on = self._try_to(lambda: request_stop(self._experiment, self._token))
            self._display.refresh()
            if time.monotonic() >= next_write_seconds:
                next_write_seconds = time.monotonic() + HEARTBEAT_SECONDS
                self._try_to(self._check_and_write)

    def _check_and_write(self) -> None:
        successor = self._read_successor()
        if successor is not None:
            self._display.event(
                f"process {successor.get('pid')} on {successor.get('host')} took this sweep over: "
                "it took us for dead"
            )
            self._stop_requested.set()
            return
        self._write(ended=None)

    def _read_successor(self) -> dict[str, Any] | None:
        """The heartbeat of another driver, if one took this sweep over."""
        try:
            found = read_json(self._experiment, DRIVER_FILE)
        except DamagedFileError:  # no driver writes such a file: it is mended by writing it anew
            return None
        return found if found is not None and found.get("token", self._token) != self._token else None

    def _try_to(self, action: Callable[[], None]) -> bool:
        """Whether it worked. A full disk or an outage of the storage must not end the sweep's own watch."""
        try:
            action()
        except (OSError, ValueError) as error:
            if not self._failing:
                logger.warning("the heartbeat fails, and goes on trying: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True

    def _write(self, ended: float | None) -> None:
        beat = {
            "time": time.time(),
            "ended": ended,
            "running": self._progress.running_ids(),
            "eta_seconds": None if ended else self._progress.eta_seconds(),
        }
        write_json(self._experiment, DRIVER_FILE, self._content | beat)
