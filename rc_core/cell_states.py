"""The state of every cell of an experiment, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rc_core.cells import Cell, cell_from_dict
from rc_core.experiment import (
    ATTEMPTS_FILE,
    FAILURE_FILE,
    RECORD_FILE,
    SWEEP_FILE,
    DamagedFileError,
    SweepSpec,
    empty_row,
    read_driver,
    read_json,
    read_record,
    read_records,
    require_record,
)
from rc_core.provenance import unix_seconds
from rc_core.readers import read_all
from rc_core.recipes import Recipe
from rc_core.storage import Storage


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
    return read_states_of_sweep(storage, sweep.recipe, sweep.cells(), known or {}, now)


def read_states_of_sweep(
    storage: Storage,
    recipe: Recipe,
    cells: Sequence[Cell],
    known: Mapping[str, CellState],
    now: float | None = None,
) -> list[CellState]:
    """The states of a sweep whose `sweep.json` is read already.

    Args:
        storage: the experiment's folder.
        recipe: of the sweep.
        cells: of the sweep, trainings first.
        known: as of `read_states`.
        now: as of `read_states`.

    Returns:
        In the order of `cells`.
    """
    # The driver first: a cell that finishes after this look has its record by the time its folder is read.
    driver = read_driver(storage, now)
    running = set(driver["running"]) if driver else set()
    present = set(storage.names())
    by_id = {cell.cell_id: cell for cell in cells}
    states = {
        cell_id: state
        for cell_id, state in known.items()
        if state.row["status"] == "done" and cell_id in present
    }
    unread = [cell_id for cell_id in by_id if cell_id in present and cell_id not in states]
    read = read_all(
        lambda cell_id: _state_of_cell(by_id[cell_id], recipe, storage.folder(cell_id), running, driver),
        unread,
    )
    for cell_id, state in zip(unread, read, strict=True):
        if state.row["cell_id"] == cell_id:  # a folder copied under another cell's name tells nothing
            states[cell_id] = state
    result: dict[str, CellState] = {}
    for cell_id, cell in by_id.items():
        state = states.get(cell_id) or CellState(empty_row(cell, recipe))
        if state.row["status"] == "missing":
            if cell_id in running:
                state.row["status"] = "running"
            elif cell.parent is not None and result[cell.parent.cell_id].row["status"] == "failed":
                parent = result[cell.parent.cell_id].row
                state.row.update(status="parent-failed", error=f"{parent['cell_id']}: {parent['error']}")
        result[cell_id] = state
    return list(result.values())


def read_rows(storage: Storage) -> list[dict[str, Any]]:
    """The rows of `read_states`.

    Raises:
        FileNotFoundError: nothing in the folder is an experiment or a cell.
    """
    return [state.row for state in read_states(storage)]


def _state_of_cell(
    cell: Cell, recipe: Recipe, folder: Storage, running: set[str], driver: dict[str, Any] | None
) -> CellState:
    row = empty_row(cell, recipe)
    try:
        record = require_record(folder)
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
