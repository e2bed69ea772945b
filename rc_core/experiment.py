"""The experiment folder: which file says what, and the state of every cell read from it.

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
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from rc_core.cells import Cell, Grid, cell_from_dict, union_of_cells
from rc_core.processes import process_lives, process_space
from rc_core.provenance import unix_seconds
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
)
STATUSES = ("done", "running", "failed", "parent-failed", "missing")
FAILED_STATUSES = ("failed", "parent-failed")

# A driver writes its heartbeat every few seconds; one that is silent for longer is taken for dead.
HEARTBEAT_LIMIT_SECONDS = 60.0

# Folders read at a time: object stores and shared file systems answer many requests in the time of one.
_NUM_READERS = 16


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
        return _read_record(folder)
    except DamagedFileError:
        return None


def read_records(storage: Storage, cell_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The records of those of the given cells that are finished."""
    present = set(storage.names())
    wanted = [cell_id for cell_id in cell_ids if cell_id in present]
    with ThreadPoolExecutor(_NUM_READERS) as readers:
        found = readers.map(lambda cell_id: read_record(storage.folder(cell_id)), wanted)
        return {cell_id: record for cell_id, record in zip(wanted, found, strict=True) if record is not None}


class CellState(NamedTuple):
    """What storage says of one cell.

    Attributes:
        row: every column of `COLUMNS`.
        attempts: every attempt so far: `started` (ISO, UTC), `host`, `pid`; empty for a cell that has not
            begun, and for one of a version that did not record them.
        ended: when the last attempt ended (ISO, UTC), where that is known: the cell is done or failed.
        is_orphaned: an attempt began, and neither a record nor a failure nor a living driver tells of it: its
            process was killed. The next run does the cell again, from its newest checkpoint.
    """

    row: dict[str, Any]
    attempts: tuple[dict[str, Any], ...] = ()
    ended: str | None = None
    is_orphaned: bool = False

    @property
    def num_attempts(self) -> int:
        """Attempts begun; a finished cell had one even where that is not recorded."""
        return max(len(self.attempts), int(self.row["status"] == "done"))


def read_states(
    storage: Storage, known: Mapping[str, CellState] | None = None, now: float | None = None
) -> list[CellState]:
    """The state of every cell: of the grid if there is one, else of the folders.

    A folder without `sweep.json` (single cells by `rcsweep train` and `prune`) gives its finished cells. A
    damaged `record.json` makes a cell "missing", with the damage as its error.

    Args:
        storage: the experiment's folder.
        known: states from an earlier call, by cell id; cells that were done then are not read again.
        now: Unix time, to tell whether the driver lives; None asks the clock.

    Raises:
        FileNotFoundError: nothing in the folder is an experiment or a cell.
    """
    sweep = SweepSpec.read(storage)
    if sweep is None:
        return _states_of_loose_cells(storage)
    # The driver first: a cell that finishes after this look has its record by the time its folder is read.
    driver = read_driver(storage, now)
    running = set(driver["running"]) if driver else set()
    present = set(storage.names())
    states = {
        cell_id: state
        for cell_id, state in (known or {}).items()
        if state.row["status"] == "done" and cell_id in present
    }
    cells = sweep.cells()
    unread = [cell for cell in cells if cell.cell_id in present and cell.cell_id not in states]
    with ThreadPoolExecutor(_NUM_READERS) as readers:
        read = readers.map(
            lambda cell: _state_of_cell(cell, sweep.recipe, storage.folder(cell.cell_id), running, driver),
            unread,
        )
        states |= {state.row["cell_id"]: state for state in read}
    result: dict[str, CellState] = {}
    for cell in cells:
        state = states.get(cell.cell_id) or CellState(empty_row(cell, sweep.recipe))
        if state.row["status"] == "missing":
            if cell.cell_id in running:
                state.row["status"] = "running"
            elif cell.parent is not None and result[cell.parent.cell_id].row["status"] == "failed":
                parent = result[cell.parent.cell_id].row
                state.row.update(status="parent-failed", error=f"{parent['cell_id']}: {parent['error']}")
        result[cell.cell_id] = state
    return list(result.values())


def read_rows(storage: Storage) -> list[dict[str, Any]]:
    """The rows of `read_states`.

    Raises:
        FileNotFoundError: nothing in the folder is an experiment or a cell.
    """
    return [state.row for state in read_states(storage)]


def _read_record(folder: Storage) -> dict[str, Any] | None:
    record = read_json(folder, RECORD_FILE)
    if record is not None and not isinstance(record.get("row"), dict):
        raise DamagedFileError(f"{folder.location}/{RECORD_FILE}: the field 'row' is missing")
    return record


def _state_of_cell(
    cell: Cell, recipe: Recipe, folder: Storage, running: set[str], driver: dict[str, Any] | None
) -> CellState:
    row = empty_row(cell, recipe)
    try:
        record = _read_record(folder)
    except DamagedFileError as error:
        record = None
        row["error"] = f"{RECORD_FILE} is damaged: {_reason(error)}; the next run does the cell again"
    if record is not None:
        return _state_of_record(record, row)
    attempts = _read_attempts(folder)
    if cell.cell_id in running:
        return CellState(row | {"status": "running", "error": None}, attempts)
    try:
        failure = read_json(folder, FAILURE_FILE)
    except DamagedFileError as error:
        failure = {"error": f"{FAILURE_FILE} is damaged: {_reason(error)}"}
    if failure is not None:
        row |= {"status": "failed", "error": failure.get("error", f"{FAILURE_FILE} names no error")}
        return CellState(row, attempts, failure.get("time"))
    if driver is not None and attempts and unix_seconds(attempts[-1]["started"]) >= driver["time"] - 1:
        # A living driver has started the cell since its last heartbeat; one second is for their clocks.
        return CellState(row | {"status": "running", "error": None}, attempts)
    return CellState(row, attempts, is_orphaned=bool(attempts) and row["error"] is None)


def _state_of_record(record: dict[str, Any], empty: dict[str, Any]) -> CellState:
    provenance = record.get("provenance", {})
    attempts = provenance.get("attempts")
    if attempts is None:  # written before attempts were recorded: the last one is known
        last = {"started": provenance.get("started"), "host": provenance.get("host"), "pid": None}
        attempts = [last] if last["started"] else []
    return CellState(empty | record["row"], tuple(attempts), provenance.get("ended"))


def _read_attempts(folder: Storage) -> tuple[dict[str, Any], ...]:
    try:
        content = read_json(folder, ATTEMPTS_FILE)
    except DamagedFileError:
        return ()
    return tuple(content.get("attempts", ())) if content else ()


def _reason(error: DamagedFileError) -> str:
    """The message without the path before it and the advice after it."""
    return str(error).rpartition(".json: ")[2].partition(";")[0]


def _states_of_loose_cells(storage: Storage) -> list[CellState]:
    own = read_record(storage)
    records = [own] if own else list(read_records(storage, storage.names()).values())
    if not records:
        raise FileNotFoundError(
            f"{storage.location}: no experiment here (neither {SWEEP_FILE} nor a cell's {RECORD_FILE}); "
            "give the folder that 'rcsweep run' wrote, or its name with --storage"
        )
    cells = {record["row"]["cell_id"]: cell_from_dict(record["cell"]) for record in records}
    order = [cell.cell_id for cell in sorted(cells.values(), key=lambda cell: cell.phase != "train")]
    by_id = {record["row"]["cell_id"]: _state_of_record(record, {}) for record in records}
    return [by_id[cell_id] for cell_id in order]
