"""The table of an experiment's cells, read from the index as far as that is true and from the cells else."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pyarrow as pa

from analysis.index import IndexFile, is_worth_writing, keep_unchanged, take_rows, with_stamps
from analysis.typed_tables import DTYPES, frame_to_arrow, typed_frame
from rc_core.cell_states import CellState, read_states, read_states_of_sweep
from rc_core.experiment import RECORD_FILE, SweepSpec
from rc_core.recipes import recipe_to_dict
from rc_core.storage import Storage

# The result table, and what else is known of a cell: its attempts as JSON, and when the last one ended.
CELL_DTYPES = DTYPES | {"attempts": "str", "ended": "str"}


def read_cell_table(storage: Storage, *, use_index: bool = True) -> pa.Table:
    """One row a cell, trainings first; columns and dtypes `CELL_DTYPES`.

    Single cells without a sweep have no index.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a value does not fit its column.
    """
    spec = SweepSpec.read(storage)
    if spec is None:
        return _states_to_table(read_states(storage), storage.location)
    cells = spec.cells()
    cell_ids = [cell.cell_id for cell in cells]
    if not use_index:
        states = read_states_of_sweep(storage, spec.recipe, cells, {})
        return _states_to_table(states, storage.location)
    index = IndexFile(storage, "cells", [CELL_DTYPES, recipe_to_dict(spec.recipe)])
    looked_seconds = time.time()
    stamps = storage.stamps([f"{cell_id}/{RECORD_FILE}" for cell_id in cell_ids])
    kept = keep_unchanged(index.read(), cell_ids, stamps)
    # Of these cells the table has the rows already; here it matters alone that they are done.
    known = {
        cell_id: CellState({"cell_id": cell_id, "status": "done"})
        for cell_id in (kept["cell_id"].to_pylist() if kept is not None else ())
    }
    states = read_states_of_sweep(storage, spec.recipe, cells, known)
    fresh = [state for state in states if known.get(state.row["cell_id"]) is not state]
    table = _in_order(kept, _states_to_table(fresh, storage.location), cell_ids)
    is_fresh = {state.row["cell_id"] for state in fresh}
    lasting = [
        stamp
        if state.row["status"] == "done"
        and stamp is not None
        and (cell_id not in is_fresh or stamp.is_settled(looked_seconds))
        else None
        for cell_id, state, stamp in zip(cell_ids, states, stamps, strict=True)
    ]
    num_new = sum(
        stamp is not None and cell_id in is_fresh for cell_id, stamp in zip(cell_ids, lasting, strict=True)
    )
    if is_worth_writing(num_new, len(cells)):
        index.write(with_stamps(table, lasting))
    return table


def _states_to_table(states: Sequence[CellState], origin: str) -> pa.Table:
    columns = {name: [state.row.get(name) for state in states] for name in DTYPES}
    columns["attempts"] = [json.dumps(state.attempts) for state in states]
    columns["ended"] = [state.ended for state in states]
    return frame_to_arrow(typed_frame(columns, CELL_DTYPES, origin), CELL_DTYPES)


def _in_order(kept: pa.Table | None, fresh: pa.Table, cell_ids: Sequence[str]) -> pa.Table:
    """The rows of both by `cell_ids`; a cell that is in both counts as read afresh."""
    table = fresh if kept is None else pa.concat_tables([kept, fresh])
    places = {cell_id: place for place, cell_id in enumerate(table["cell_id"].to_pylist())}
    return take_rows(table, [places[cell_id] for cell_id in cell_ids]).combine_chunks()
