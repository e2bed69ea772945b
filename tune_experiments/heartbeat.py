"""The driver's heartbeat: a thread that tells storage, and with it other processes, that the sweep lives."""

from __future__ import annotations

import os
import sys
import threading
import time

from rc_core.experiment import DRIVER_FILE, write_json
from rc_core.provenance import host_name
from rc_core.storage import Storage
from tune_experiments.progress import LiveDisplay, PlainDisplay
from tune_experiments.queue import CellQueue

HEARTBEAT_SECONDS = 5.0
REFRESH_SECONDS = 1.0


class Heartbeat:
    """Says every few seconds that the driver lives and what it runs, and keeps the display fresh."""

    def __init__(
        self, experiment: Storage, queue: CellQueue, num_slots: int, display: PlainDisplay | LiveDisplay
    ) -> None:
        self._experiment, self._queue, self._display = experiment, queue, display
        self._content = {
            "host": host_name(),
            "pid": os.getpid(),
            "started": time.time(),
            "num_slots": num_slots,
        }
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._write(ended=None)
        self._thread.start()

    def stop(self) -> None:
        """Write the last beat, which says that the driver ended."""
        self._ended.set()
        self._thread.join()
        self._display.close()
        self._write(ended=time.time())

    def _beat(self) -> None:
        next_write_seconds = time.monotonic() + HEARTBEAT_SECONDS
        while not self._ended.wait(REFRESH_SECONDS):
            self._display.refresh()
            if time.monotonic() >= next_write_seconds:
                next_write_seconds = time.monotonic() + HEARTBEAT_SECONDS
                try:
                    self._write(ended=None)
                except OSError as error:  # a full disk or an outage must not end the sweep's own watch
                    print(f"heartbeat not written: {error}", file=sys.stderr)

    def _write(self, ended: float | None) -> None:
        beat = {"time": time.time(), "ended": ended, "running": self._queue.running()}
        write_json(self._experiment, DRIVER_FILE, self._content | beat)
