"""Whether a finished cell was run again, or its result changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from chaos.cells import attempts, finished_cells
from rc_core.experiment import RECORD_FILE, read_record
from rc_core.storage import LocalStorage


class _Seen(NamedTuple):
    record_sha256: str
    record_mtime_ns: int
    num_attempts: int


class Ledger:
    """Remembers every finished cell that it saw, and what should never change about it.

    Attributes:
        violations: what did change, a line each.
        destroyed: cells whose record a fault destroyed, so that running them again is right.

    Args:
        experiment: its folder.
    """

    def __init__(self, experiment: Path) -> None:
        self._experiment = experiment
        self._seen: dict[str, _Seen] = {}
        self.violations: list[str] = []
        self.destroyed: list[str] = []

    @property
    def num_redone(self) -> int:
        """Finished cells that were run again, or lost, though no fault had destroyed their record."""
        return len(self.violations)

    def look(self) -> None:
        """Compare the finished cells seen before with what is there, and take in the new ones."""
        for cell_id, before in list(self._seen.items()):
            folder = self._experiment / cell_id
            if read_record(LocalStorage(folder)) is None:
                self._violated(cell_id, "its record is gone")
            elif (now := _see(folder)) != before:
                changed = [name for name in _Seen._fields if now._asdict()[name] != before._asdict()[name]]
                self._violated(cell_id, f"{', '.join(changed)} changed from {before} to {now}")
        for folder in finished_cells(self._experiment):
            self._seen.setdefault(folder.name, _see(folder))

    def destroy(self, cell_id: str) -> None:
        """A fault is about to destroy this cell's record."""
        self.look()
        self._seen.pop(cell_id, None)
        self.destroyed.append(cell_id)

    def _violated(self, cell_id: str, reason: str) -> None:
        self.violations.append(f"{cell_id}: was finished, but {reason}")
        del self._seen[cell_id]


def _see(folder: Path) -> _Seen:
    record = folder / RECORD_FILE
    return _Seen(
        hashlib.sha256(record.read_bytes()).hexdigest(), record.stat().st_mtime_ns, len(attempts(folder))
    )
