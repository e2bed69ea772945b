"""The experiment folder: which file says what, and how each is read and written (states: cell_states.py).

    NAME/sweep.json                  recipe, requested grids, versions, data hashes
    NAME/driver.json                 heartbeat of the process that runs the sweep
    NAME/<cell id>/record.json       the finished cell: row, layers, provenance; its presence means done
    NAME/<cell id>/history.json      curves, by column
    NAME/<cell id>/failure.json      the last failure, where there was one
    NAME/<cell id>/attempts.json     start, host and process of every attempt
    NAME/<cell id>/log.txt           what the attempts said
    NAME/<cell id>/final/            the finished network, see checkpoints.py
    NAME/<cell id>/checkpoint-<step>/  of a cell under way

Only relative names are stored, so the folder may be moved. Plain JSON: neither torch nor Ray is imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rc_core.cells import Cell, Grid, union_of_cells
from rc_core.processes import process_lives, process_space
from rc_core.readers import read_all
from rc_core.recipes import Recipe, recipe_from_dict, recipe_to_dict
from rc_core.storage import Storage

SWEEP_FILE = "sweep.json"
DRIVER_FILE = "driver.json"
RECORD_FILE = "record.json"
HISTORY_FILE = "history.json"
FAILURE_FILE = "failure.json"
ATTEMPTS_FILE = "attempts.json"
LOG_FILE = "log.txt"

COLUMNS = (
    "cell_id",
    "phase",
    "status",
    "recipe",
    "dataset",
    "model",
    "pruner",
    "noise",
    "randomization",
    "randomization_actual",
    "seed",
    "sparsity_target",
    "sparsity",
    "parent_id",
    "parent_sha256",
    "steps",
    "train_accuracy",
    "train_loss",
    "test_accuracy",
    "accuracy_kept",
    "accuracy_redrawn",
    "accuracy_true",
    "wall_seconds",
    "images_per_second",
    "device",
    "threads",
    "label_sha256",
    "data_sha256",
    "code_version",
    "error",
    "stacked",
    "precision",
)
STATUSES = ("done", "running", "failed", "parent-failed", "missing")
FAILED_STATUSES = ("failed", "parent-failed")

# A driver writes its heartbeat every few seconds; one that is silent for longer is taken for dead.
HEARTBEAT_LIMIT_SECONDS = 60.0


class DamagedFileError(ValueError):
    """A file is not the JSON object that it should be: torn by a crash, or written by something else."""


def read_json(storage: Storage, name: str) -> dict[str, Any] | None:
    """A JSON object, or None where the file is missing.

    Raises:
        DamagedFileError: the file is not a JSON object; the message names it.
    """
    try:
        content = storage.read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(content)
    except ValueError as error:
        raise DamagedFileError(
            f"{storage.location}/{name}: not valid JSON ({error}); remove the file and run the sweep again"
        ) from error
    if not isinstance(value, dict):
        raise DamagedFileError(
            f"{storage.location}/{name}: a JSON object was expected; remove the file and run again"
        )
    return value


def write_json(storage: Storage, name: str, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically. NaN and infinities are refused: they are not JSON."""
    storage.write(name, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def empty_row(cell: Cell, recipe: Recipe) -> dict[str, Any]:
    """Row of a cell of which nothing but its place in the grid is known; every column is there."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "cell_id": cell.cell_id,
        "phase": cell.phase,
        "status": "missing",
        "recipe": recipe.name,
        "dataset": recipe.dataset,
        "model": recipe.model,
        "noise": recipe.noise,
        "randomization": cell.randomization,
        "seed": cell.seed,
    }
    if cell.parent is not None:
        row |= {
            "pruner": cell.pruner,
            "sparsity_target": cell.sparsity,
            "parent_id": cell.parent.cell_id,
        }
    return row


class SweepSpec:
    """What `sweep.json` says: the recipe, every grid that was asked for, and where they come from."""

    def __init__(self, recipe: Recipe, grids: list[Grid], provenance: dict[str, Any]) -> None:
        self.recipe, self.grids, self.provenance = recipe, grids, provenance

    def cells(self) -> list[Cell]:
        """The union of the grids, trainings first."""
        return union_of_cells(self.grids)

    @classmethod
    def read(cls, storage: Storage) -> SweepSpec | None:
        """The spec in an experiment folder, or None where there is none."""
        data = read_json(storage, SWEEP_FILE)
        if data is None:
            return None
        return cls(
            recipe_from_dict(data["recipe"]),
            [Grid.from_dict(grid) for grid in data["grids"]],
            data.get("provenance", {}),
        )

    def write(self, storage: Storage) -> None:
        """Write `sweep.json`."""
        write_json(
            storage,
            SWEEP_FILE,
            {
                "format": 1,
                "recipe": recipe_to_dict(self.recipe),
                "grids": [grid.to_dict() for grid in self.grids],
                "provenance": self.provenance,
            },
        )


def read_driver(storage: Storage, now: float | None = None) -> dict[str, Any] | None:
    """The heartbeat of a living driver, or None: none ran, it ended, it is dead or silent for too long."""
    driver = read_json(storage, DRIVER_FILE)
    if driver is None or driver.get("ended"):
        return None
    if driver.get("process_space") == process_space() and not process_lives(driver["pid"]):
        return None
    age_seconds = (time.time() if now is None else now) - float(driver["time"])
    return driver if age_seconds <= HEARTBEAT_LIMIT_SECONDS else None


def read_record(folder: Storage) -> dict[str, Any] | None:
    """The record of the finished cell in a folder; None where there is none, or a damaged one.

    A cell whose record is damaged counts as not finished, so that the next run does it again.
    """
    try:
        return require_record(folder)
    except DamagedFileError:
        return None


def read_records(storage: Storage, cell_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The records of those of the given cells that are finished."""
    present = set(storage.names())
    wanted = [cell_id for cell_id in cell_ids if cell_id in present]
    found = read_all(lambda cell_id: read_record(storage.folder(cell_id)), wanted)
    return {cell_id: record for cell_id, record in zip(wanted, found, strict=True) if record is not None}


def require_record(folder: Storage) -> dict[str, Any] | None:
    """The record of the finished cell in a folder; None where there is none.

    Raises:
        DamagedFileError: it is not a record.
    """
    record = read_json(folder, RECORD_FILE)
    if record is not None and not isinstance(record.get("row"), dict):
        raise DamagedFileError(f"{folder.location}/{RECORD_FILE}: the field 'row' is missing")
    return record
