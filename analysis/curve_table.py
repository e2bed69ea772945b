"""The curves of an experiment's cells, read from the index as far as that is true and from the cells else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.index import IndexFile, is_worth_writing, keep_unchanged, take_rows, with_stamps
from analysis.typed_tables import HISTORY_DTYPES, arrow_to_frame, frame_to_arrow, typed_frame
from rc_core.experiment import HISTORY_FILE, SWEEP_FILE, read_json
from rc_core.readers import read_all
from rc_core.storage import Storage

# Newest format number of history.json that this code reads.
FORMAT = 1

_CURVE_DTYPES = {name: dtype for name, dtype in HISTORY_DTYPES.items() if name != "cell_id"}

# Curves that are Python's numbers at a time, which take several times the memory of a column.
_CELLS_A_PART = 500

_Columns = Mapping[str, Sequence[Any]]


def read_curves(storage: Storage, cell_ids: Sequence[str], *, use_index: bool = True) -> pd.DataFrame:
    """Curves in long form: one row per cell and logged step; a cell without curves has none.

    Args:
        storage: the experiment's folder, or that of a single cell.
        cell_ids: cells whose curves are wanted, in this order.
        use_index: whether curves that were read before may come from the index.

    Returns:
        Columns and dtypes `HISTORY_DTYPES`.

    Raises:
        ValueError: a file is damaged or newer than this code; the message names it.
    """
    if not use_index:
        return _to_long_frame(_read_table(storage, cell_ids))
    looked_seconds = time.time()
    sweep_stamp, *stamps = storage.stamps(
        [SWEEP_FILE, *(f"{cell_id}/{HISTORY_FILE}" for cell_id in cell_ids)]
    )
    if sweep_stamp is None:  # single cells have no index
        return _to_long_frame(_read_table(storage, cell_ids))
    index = IndexFile(storage, "curves", [FORMAT, HISTORY_DTYPES])
    indexed = index.read()
    kept = keep_unchanged(indexed, cell_ids, stamps)
    is_kept = set(kept["cell_id"].to_pylist()) if kept is not None else set()
    fresh = _read_table(storage, [cell_id for cell_id in cell_ids if cell_id not in is_kept])
    table = fresh if kept is None else pa.concat_tables([kept, fresh])
    places = {cell_id: place for place, cell_id in enumerate(table["cell_id"].to_pylist())}
    table = take_rows(table, [places[cell_id] for cell_id in cell_ids])
    lasting = [
        stamp if stamp is not None and (cell_id in is_kept or stamp.is_settled(looked_seconds)) else None
        for cell_id, stamp in zip(cell_ids, stamps, strict=True)
    ]
    num_new = sum(
        stamp is not None and cell_id not in is_kept for cell_id, stamp in zip(cell_ids, lasting, strict=True)
    )
    if is_worth_writing(num_new, len(cell_ids)):
        index.write(_with_others(with_stamps(table, lasting), indexed))
    return _to_long_frame(table)


def _with_others(table: pa.Table, indexed: pa.Table | None) -> pa.Table:
    """The new rows, and those of an index for cells that were not asked for this time."""
    if indexed is None:
        return table
    asked = set(table["cell_id"].to_pylist())
    others = indexed.filter(pa.array([cell_id not in asked for cell_id in indexed["cell_id"].to_pylist()]))
    return pa.concat_tables([table, others])


def _read_table(storage: Storage, cell_ids: Sequence[str]) -> pa.Table:
    """One row a cell: its id, and each column of its curves as a list."""
    parts = [
        _to_lists(storage, cell_ids[start : start + _CELLS_A_PART])
        for start in range(0, max(len(cell_ids), 1), _CELLS_A_PART)
    ]
    return pa.concat_tables(parts)


def _to_lists(storage: Storage, cell_ids: Sequence[str]) -> pa.Table:
    histories = read_all(lambda cell_id: _columns_of_cell(storage, cell_id), cell_ids)
    lengths = [len(columns.get("step", ())) for columns in histories]
    try:
        frame = typed_frame(_joined(histories, lengths), _CURVE_DTYPES, "")
    except ValueError:
        for cell_id, columns, length in zip(cell_ids, histories, lengths, strict=True):
            origin = f"{storage.folder(cell_id).location}/{HISTORY_FILE}"
            typed_frame(_joined([columns], [length]), _CURVE_DTYPES, origin)
        raise
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), type=pa.int64())
    values = frame_to_arrow(frame, _CURVE_DTYPES)
    lists = {
        name: pa.LargeListArray.from_arrays(offsets, values[name].combine_chunks()) for name in _CURVE_DTYPES
    }
    return pa.table({"cell_id": pa.array(cell_ids, type=pa.large_string()), **lists})


def _joined(histories: Sequence[_Columns], lengths: Sequence[int]) -> dict[str, list[Any]]:
    """Cell after cell; a column that a cell lacks is missing values."""
    joined: dict[str, list[Any]] = {name: [] for name in _CURVE_DTYPES}
    for columns, length in zip(histories, lengths, strict=True):
        for name, values in joined.items():
            values.extend(columns.get(name) or [None] * length)
    return joined


def _to_long_frame(table: pa.Table) -> pd.DataFrame:
    steps = table["step"].combine_chunks()
    lengths = np.diff(steps.offsets.to_numpy()) if len(steps) else np.array([], dtype=np.int64)
    rows = pa.array(np.repeat(np.arange(len(table)), lengths))
    columns = {name: table[name].combine_chunks().flatten() for name in _CURVE_DTYPES}
    return arrow_to_frame(pa.table({"cell_id": table["cell_id"].take(rows), **columns}), HISTORY_DTYPES)


def _columns_of_cell(storage: Storage, cell_id: str) -> _Columns:
    """The columns of a cell's `history.json`, equally long; none where there is no such file."""
    folder = storage.folder(cell_id)
    history = read_json(folder, HISTORY_FILE)
    if history is None and folder_name(storage) == cell_id:
        folder, history = storage, read_json(storage, HISTORY_FILE)  # the location is the cell's own folder
    if history is None:
        return {}
    name = f"{folder.location}/{HISTORY_FILE}"
    if history.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"{name}: format {history['format']!r}, this rcsweep reads {FORMAT}; "
            "read it with the version that wrote it, or install a newer one"
        )
    columns = history.get("columns")
    if not isinstance(columns, dict) or not isinstance(columns.get("step"), list):
        raise ValueError(f"{name}: the object 'columns' with a list 'step' is missing; run the cell again")
    num_rows = len(columns["step"])
    for column, values in columns.items():
        if not isinstance(values, list) or len(values) != num_rows:
            raise ValueError(f"{name}: column {column!r} is no list of {num_rows} values; run the cell again")
    return columns


def folder_name(storage: Storage) -> str:
    """Last part of a folder's path or URI."""
    return storage.location.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
