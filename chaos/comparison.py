"""A disturbed sweep against an undisturbed one, bit for bit."""

from __future__ import annotations

import csv
from pathlib import Path

from rc_core.checkpoints import FINAL, TENSORS_FILE
from rc_core.experiment import HISTORY_FILE

# Columns of the export that tell of time, which is not reproducible. Hosts and attempts are no columns.
TIME_COLUMNS = frozenset({"wall_seconds", "images_per_second"})
# Per cell, beside the export: the network and its curves.
CELL_FILES = (f"{FINAL}/{TENSORS_FILE}", HISTORY_FILE)


def compare_exports(undisturbed: Path, disturbed: Path) -> list[str]:
    """Differences of two CSV exports, a line each; text against text, so every digit counts.

    Args:
        undisturbed: what `rcsweep export` wrote of one.
        disturbed: and of the other.
    """
    expected, found = _read(undisturbed), _read(disturbed)
    differences = [f"{cell_id}: no row" for cell_id in expected.keys() - found.keys()]
    differences += [f"{cell_id}: a row too many" for cell_id in found.keys() - expected.keys()]
    for cell_id in expected.keys() & found.keys():
        ours, theirs = expected[cell_id], found[cell_id]
        for column in ours.keys() | theirs.keys():
            if column not in TIME_COLUMNS and ours.get(column) != theirs.get(column):
                differences.append(f"{cell_id}: {column} is {theirs.get(column)!r}, not {ours.get(column)!r}")
    return sorted(differences)


def compare_files(undisturbed: Path, disturbed: Path) -> list[str]:
    """Cells whose network or curves differ, a line each; both folders are experiments."""
    return [
        f"{folder.name}: {name} differs"
        for folder in sorted(path for path in undisturbed.iterdir() if (path / FINAL).is_dir())
        for name in CELL_FILES
        if _content(folder / name) != _content(disturbed / folder.name / name)
    ]


def count_done(export: Path) -> int:
    """Rows of a CSV export whose status is `done`."""
    return sum(row["status"] == "done" for row in _read(export).values())


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _read(export: Path) -> dict[str, dict[str, str]]:
    with export.open(newline="") as file:
        return {row["cell_id"]: row for row in csv.DictReader(file)}
