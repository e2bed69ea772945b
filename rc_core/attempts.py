"""What is known of each try at a cell: when and where it began, what it said, how it failed.

<cell id>/attempts.json   every attempt's start, host and process
<cell id>/log.txt         what the attempts said
<cell id>/failure.json    the last attempt's failure
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from rc_core.cells import Cell, cell_to_dict
from rc_core.experiment import (
    ATTEMPTS_FILE,
    FAILURE_FILE,
    LOG_FILE,
    DamagedFileError,
    read_json,
    write_json,
)
from rc_core.provenance import host_name, utc_now
from rc_core.recipes import Recipe, differing_fields, recipe_to_dict
from rc_core.storage import Storage


class Attempt:
    """One attempt at a cell. Begins when it is made.

    Attributes:
        number: 1 for the first attempt.
        all: every attempt so far with this one last: `started`, `host`, `pid`, and `stack` where it is one of
            several cells trained together.

    Args:
        folder: the cell's folder.
        cell: what is tried.
        recipe: its settings.
        stack: name that the attempts of a stack's cells have in common.

    Raises:
        ValueError: the folder is that of another cell or recipe; nothing is written into it.
    """

    def __init__(self, folder: Storage, cell: Cell, recipe: Recipe, stack: str | None = None) -> None:
        self._folder = folder
        earlier = _read_attempts(folder)
        if earlier is not None:
            require_same(earlier, cell, recipe, f"{folder.location}/{ATTEMPTS_FILE}")
        this = {"started": utc_now(), "host": host_name(), "pid": os.getpid()}
        if stack is not None:
            this["stack"] = stack
        self.all: list[dict[str, Any]] = [*(earlier["attempts"] if earlier else []), this]
        self.number = len(self.all)
        self._lines: list[str] = []
        if self.number > 1:
            self._lines = _read_lines(folder)
        folder.delete(FAILURE_FILE)
        identity = {"cell": cell_to_dict(cell), "recipe": recipe_to_dict(recipe)}
        write_json(folder, ATTEMPTS_FILE, {"format": 1, **identity, "attempts": self.all})
        together = "" if stack is None else f", in stack {stack}"
        self.say(f"attempt {self.number} on {this['host']}, process {this['pid']}{together}")
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
        failure = {"error": message, "traceback": trace, "host": host_name(), "time": utc_now()}
        try:
            write_json(self._folder, FAILURE_FILE, failure)
            self.write_log()
        except OSError as storage_error:  # e.g. the disk is full, which may be why the attempt failed
            error.add_note(f"the failure could not be written to {self._folder.location}: {storage_error}")
        return message


def require_same(found: dict[str, Any], cell: Cell, recipe: Recipe, where: str) -> None:
    """Refuse a folder that is another cell's, or the same cell's of another recipe.

    Args:
        found: JSON with the fields `cell` and `recipe`.
        cell: what should be there.
        recipe: its settings.
        where: what `found` was read from, for the message.

    Raises:
        ValueError: it is another one.
    """
    lines = differing_fields(found["cell"], cell_to_dict(cell))
    if lines:
        raise ValueError(
            f"{where}: holds another cell than {cell.cell_id}; they differ (there | asked for) in "
            f"{', '.join(lines)}; choose another output folder"
        )
    lines = differing_fields(found["recipe"], recipe_to_dict(recipe))
    if lines:
        raise ValueError(
            f"{where}: holds another recipe; they differ (there | asked for) in {', '.join(lines)}; choose "
            "another output folder"
        )


def _read_attempts(folder: Storage) -> dict[str, Any] | None:
    """A damaged file only loses the count of earlier attempts."""
    try:
        return read_json(folder, ATTEMPTS_FILE)
    except DamagedFileError:
        return None


def _read_lines(folder: Storage) -> list[str]:
    try:
        return folder.read(LOG_FILE).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
