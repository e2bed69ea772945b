"""What is known of each try at a cell: when and where it began, what it said, how it failed.

<cell id>/attempts.json   every attempt's start, host and process
<cell id>/log.txt         what the attempts said
<cell id>/failure.json    the last attempt's failure
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from rc_core.experiment import ATTEMPTS_FILE, FAILURE_FILE, LOG_FILE, read_json, write_json
from rc_core.provenance import host_name, utc_now
from rc_core.storage import Storage


class Attempt:
    """One attempt at a cell. Begins when it is made.

    Attributes:
        number: 1 for the first attempt.
        all: every attempt so far with this one last: `started`, `host`, `pid`.

    Args:
        folder: the cell's folder.
    """

    def __init__(self, folder: Storage) -> None:
        self._folder = folder
        earlier = read_json(folder, ATTEMPTS_FILE)
        this = {"started": utc_now(), "host": host_name(), "pid": os.getpid()}
        self.all: list[dict[str, Any]] = [*(earlier["attempts"] if earlier else []), this]
        self.number = len(self.all)
        self._lines: list[str] = []
        if self.number > 1:
            self._lines = _read_lines(folder)
        folder.delete(FAILURE_FILE)
        write_json(folder, ATTEMPTS_FILE, {"format": 1, "attempts": self.all})
        self.say(f"attempt {self.number} on {this['host']}, process {this['pid']}")
        self.write_log()

    @property
    def started(self) -> str:
        """ISO time at which this attempt began."""
        return str(self.all[-1]["started"])

    def say(self, line: str) -> None:
        """Add a line to the log; it is written with the next `write_log`."""
        self._lines.append(f"{utc_now()} {line}")

    def write_log(self) -> None:
        """Write the log."""
        self._folder.write(LOG_FILE, ("\n".join(self._lines) + "\n").encode())

    def fail(self, error: Exception) -> str:
        """Note a failure with its traceback; returns it in one line."""
        message = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        self.say(f"failed: {message}\n{trace}")
        self.write_log()
        write_json(
            self._folder,
            FAILURE_FILE,
            {"error": message, "traceback": trace, "host": host_name(), "time": utc_now()},
        )
        return message


def _read_lines(folder: Storage) -> list[str]:
    try:
        return folder.read(LOG_FILE).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
