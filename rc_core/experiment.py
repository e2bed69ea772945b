"""The experiment folder: which file says what, and the state of every cell read from it.

    NAME/sweep.json                  recipe, requested grids, versions, data hashes
    NAME/driver.json                 heartbeat of the process that runs the sweep
    NAME/<cell id>/record.json       the finished cell: row, layers, provenance; its presence means done
    NAME/<cell id>/history.json      curves, by column
    NAME/<cell id>/failure.json      the last failure, where there was one
    NAME/<cell id>/final/            the finished network, see checkpoints.py
    NAME/<cell id>/checkpoint-<step>/  of a cell under way

Only relative names are stored, so the folder may be moved. Plain JSON: neither torch nor Ray is imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rc_core.cells import Cell, Grid, cell_from_dict, union_of_cells
from rc_core.recipes import Recipe, recipe_from_dict, recipe_to_dict
from rc_core.storage import Storage

SWEEP_FILE = "sweep.json"
DRIVER_FILE = "driver.json"
RECORD_FILE = "record.json"
HISTORY_FILE = "history.json"
FAILURE_FILE = "failure.json"

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
)
STATUSES = ("done", "running", "failed", "parent-failed", "missing")

# A driver writes its heartbeat every few seconds; one that is silent for longer is taken for dead.
HEARTBEAT_LIMIT_SECONDS = 60.0


def read_json(storage: Storage, name: str) -> dict[str, Any] | None:
    """A JSON object, or None where the file is missing.

    Raises:
        ValueError: the file is not a JSON object; the message names it.
    """
    try:
        content = storage.read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ValueError(
            f"{storage.location}/{name}: not valid JSON ({error}); remove the file and run the sweep again"
        ) from error
    if not isinstance(value, dict):
        raise ValueError(
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
    """The heartbeat of a living driver, or None: none ran, it ended, or it has been silent too long."""
    driver = read_json(storage, DRIVER_FILE)
    if driver is None or driver.get("ended"):
        return None
    age_seconds = (time.time() if now is None else now) - float(driver["time"])
    return driver if age_seconds <= HEARTBEAT_LIMIT_SECONDS else None


def read_records(storage: Storage, cell_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The records of those of the given cells that are finished."""
    present = set(storage.names())
    records = {}
    for cell_id in cell_ids:
        if cell_id in present:
            record = read_json(storage.folder(cell_id), RECORD_FILE)
            if record is not None:
                records[cell_id] = record
    return records


def read_rows(storage: Storage) -> list[dict[str, Any]]:
    """One row per cell with every column of `COLUMNS`: of the grid if there is one, else of the folders.

    A folder without `sweep.json` (single cells by `rcsweep train` and `prune`) gives its finished cells.

    Raises:
        FileNotFoundError: nothing in the folder is an experiment or a cell.
    """
    sweep = SweepSpec.read(storage)
    if sweep is None:
        return _rows_of_loose_cells(storage)
    cells = sweep.cells()
    records = read_records(storage, (cell.cell_id for cell in cells))
    driver = read_driver(storage)
    running = set(driver["running"]) if driver else set()
    present = set(storage.names())
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        row = empty_row(cell, sweep.recipe)
        if cell.cell_id in records:
            row |= records[cell.cell_id]["row"]
        elif cell.cell_id in running:
            row["status"] = "running"
        elif cell.cell_id in present and (failure := read_json(storage.folder(cell.cell_id), FAILURE_FILE)):
            row |= {"status": "failed", "error": failure["error"]}
        elif cell.parent is not None and rows[cell.parent.cell_id]["status"] == "failed":
            parent = rows[cell.parent.cell_id]
            row |= {"status": "parent-failed", "error": f"{parent['cell_id']}: {parent['error']}"}
        rows[cell.cell_id] = row
    return list(rows.values())


def _rows_of_loose_cells(storage: Storage) -> list[dict[str, Any]]:
    own = read_json(storage, RECORD_FILE)
    records = [own] if own else list(read_records(storage, storage.names()).values())
    if not records:
        raise FileNotFoundError(
            f"{storage.location}: no experiment here (neither {SWEEP_FILE} nor a cell's {RECORD_FILE}); "
            "give the folder that 'rcsweep run' wrote, or its name with --storage"
        )
    cells = {record["row"]["cell_id"]: cell_from_dict(record["cell"]) for record in records}
    order = [cell.cell_id for cell in sorted(cells.values(), key=lambda cell: cell.phase != "train")]
    by_id = {record["row"]["cell_id"]: record["row"] for record in records}
    return [by_id[cell_id] for cell_id in order]
