"""From an experiment folder to tidy tables: one row a cell, one row a logged step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from rc_core.experiment import (
    COLUMNS,
    DRIVER_FILE,
    FAILURE_FILE,
    HISTORY_FILE,
    RECORD_FILE,
    SWEEP_FILE,
    SweepSpec,
    read_driver,
    read_json,
    read_rows,
)
from rc_core.storage import Storage, open_storage

_Result = TypeVar("_Result")

# Files read at a time: object stores answer many requests in the time of one.
_NUM_READERS = 16

# Newest format number of sweep.json, record.json and history.json that this code reads.
FORMAT = 1

_FLOAT_COLUMNS = (
    "randomization",
    "randomization_actual",
    "sparsity_target",
    "sparsity",
    "train_accuracy",
    "train_loss",
    "test_accuracy",
    "accuracy_kept",
    "accuracy_redrawn",
    "accuracy_true",
    "wall_seconds",
    "images_per_second",
)
# Every column's dtype, also of a table without rows. A missing value is NaN; in Int64 columns pandas.NA.
DTYPES: dict[str, str] = (
    dict.fromkeys(COLUMNS, "str")
    | dict.fromkeys(_FLOAT_COLUMNS, "float64")
    | {"seed": "int64", "steps": "Int64", "threads": "Int64"}
)
HISTORY_DTYPES: dict[str, str] = {
    "cell_id": "str",
    "step": "int64",
    "learning_rate": "float64",
    "train_loss": "float64",
    "train_accuracy": "float64",
    "sparsity_target": "float64",
    "sparsity": "float64",
    "update_probability": "float64",
    "num_pruned": "Int64",
    "num_spliced": "Int64",
}
EXPORT_SUFFIXES = (".csv", ".parquet", ".json")


def load(location: str | Path | Storage) -> pd.DataFrame:
    """The tidy table of an experiment: one row a cell, missing and failed ones included.

    Args:
        location: folder of a sweep, a folder of single cells, one cell's folder, or a URI such as
            `s3://bucket/prefix`. The folder may have been moved.

    Returns:
        Columns `rc_core.experiment.COLUMNS` in that order, dtypes `DTYPES`; trainings first, in grid order.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged or newer than this code; the message names it.
    """
    storage = _open(location)
    return rows_to_frame(_reading(storage, lambda: read_rows(storage)), storage.location)


def rows_to_frame(rows: Iterable[Mapping[str, Any]], origin: str = "rows") -> pd.DataFrame:
    """The tidy table of result rows; columns that a row lacks are missing values.

    Raises:
        ValueError: a value does not fit its column; the message starts with `origin`.
    """
    return _typed_frame(list(rows), DTYPES, origin)


def load_spec(location: str | Path | Storage) -> SweepSpec | None:
    """What was asked for: recipe, grids, provenance; None in a folder of single cells.

    Raises:
        ValueError: `sweep.json` is damaged or newer than this code.
    """
    storage = _open(location)
    return _reading(storage, lambda: SweepSpec.read(storage))


def load_history(location: str | Path | Storage, cell_ids: Iterable[str] | None = None) -> pd.DataFrame:
    """Curves in long form: one row per cell and logged step.

    `train_loss` and `train_accuracy` are train-mode minibatch means over the steps since the previous row.

    Args:
        location: as of `load`.
        cell_ids: cells whose curves are wanted; None means every finished one.

    Returns:
        Columns and dtypes `HISTORY_DTYPES`; columns that only prunings have are missing values for trainings.
        A cell without curves has no rows.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged or newer than this code; the message names it.
    """
    storage = _open(location)
    if cell_ids is None:
        table = load(storage)
        cell_ids = table.loc[table["status"] == "done", "cell_id"]
    with ThreadPoolExecutor(_NUM_READERS) as readers:
        frames = list(readers.map(lambda cell_id: _history_of_cell(storage, str(cell_id)), cell_ids))
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else _typed_frame([], HISTORY_DTYPES, "")


def experiment_name(location: str | Path | Storage) -> str:
    """Last part of the folder's path: the name under which the sweep was run, unless it was renamed."""
    return _open(location).location.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def export(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as `.csv`, `.parquet` or `.json` (a list of row objects, missing values null).

    The file appears as a whole or not at all; missing parent folders are made.

    Raises:
        ValueError: another suffix.
    """
    target = Path(path)
    writers: dict[str, Callable[[str], None]] = {
        ".csv": lambda name: frame.to_csv(name, index=False, lineterminator="\n"),
        ".parquet": lambda name: frame.to_parquet(name, index=False),
        # 15 digits are the most that pandas offers; accuracies are ratios of counts and survive it.
        ".json": lambda name: frame.to_json(name, orient="records", indent=1, double_precision=15),
    }
    suffix = target.suffix.lower()
    if suffix not in writers:
        raise ValueError(
            f"out = {str(path)!r}: the suffix {suffix!r} is none of {', '.join(EXPORT_SUFFIXES)}; "
            "it decides the format"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=suffix)
    os.close(descriptor)
    try:
        writers[suffix](temporary)
        os.chmod(temporary, 0o644)  # mkstemp makes it private to the writer
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _open(location: str | Path | Storage) -> Storage:
    return open_storage(location) if isinstance(location, str | Path) else location


def _typed_frame(rows: Sequence[Mapping[str, Any]], dtypes: dict[str, str], origin: str) -> pd.DataFrame:
    columns: dict[str, pd.Series[Any]] = {}
    for name, dtype in dtypes.items():
        try:
            columns[name] = pd.Series([row.get(name) for row in rows], dtype=dtype)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{origin}: a value of column {name!r} is no {dtype} ({error}); "
                "remove that cell's folder and run the sweep again"
            ) from error
    return pd.DataFrame(columns)


def _history_of_cell(storage: Storage, cell_id: str) -> pd.DataFrame:
    folder = storage.folder(cell_id)
    history = read_json(folder, HISTORY_FILE)
    if history is None and experiment_name(storage) == cell_id:
        folder, history = storage, read_json(storage, HISTORY_FILE)  # the location is the cell's own folder
    if history is None:
        return _typed_frame([], HISTORY_DTYPES, "")
    name = f"{folder.location}/{HISTORY_FILE}"
    _require_format(history, name)
    columns = history.get("columns")
    if not isinstance(columns, dict) or not isinstance(columns.get("step"), list):
        raise ValueError(f"{name}: the object 'columns' with a list 'step' is missing; run the cell again")
    num_rows = len(columns["step"])
    for column, values in columns.items():
        if not isinstance(values, list) or len(values) != num_rows:
            raise ValueError(f"{name}: column {column!r} is no list of {num_rows} values; run the cell again")
    rows = [
        {"cell_id": cell_id} | {column: columns[column][index] for column in columns}
        for index in range(num_rows)
    ]
    return _typed_frame(rows, HISTORY_DTYPES, name)


def _require_format(content: Mapping[str, Any], name: str) -> None:
    if content.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"{name}: format {content['format']!r}, this rcsweep reads {FORMAT}; "
            "read it with the version that wrote it, or install a newer one"
        )


def _reading(storage: Storage, read: Callable[[], _Result]) -> _Result:
    """Result of `read`; when it fails on a file's content, the error names the file."""
    try:
        result = read()
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ValueError) and str(error).startswith(storage.location):
            raise  # names the file already
        name, reason = _find_damage(storage) or (storage.location, f"{type(error).__name__}: {error}")
        raise ValueError(
            f"{name}: {reason}; if no newer rcsweep wrote it, remove the file and run the sweep again"
        ) from error
    return result


def _find_damage(storage: Storage) -> tuple[str, str] | None:
    """The first file of an experiment that does not hold what it should, and why; for error messages only."""

    def reason_not_to_read(read: Callable[[], Any]) -> str | None:
        try:
            read()
        except KeyError as error:
            return f"the field {error} is missing"
        except (TypeError, AttributeError, ValueError) as error:
            return str(error)
        return None

    checks: list[tuple[str, Callable[[], Any]]] = [
        (SWEEP_FILE, lambda: SweepSpec.read(storage)),
        (DRIVER_FILE, lambda: (driver := read_driver(storage)) and driver["running"]),
    ]
    for name, check in checks:
        if reason := reason_not_to_read(check):
            return f"{storage.location}/{name}", reason
    for child in [None, *storage.names()]:
        folder = storage if child is None else storage.folder(child)
        for name, fields in ((RECORD_FILE, ("row", "cell")), (FAILURE_FILE, ("error",))):
            content = read_json(folder, name)
            missing = [field for field in fields if content is not None and field not in content]
            if missing:
                return f"{folder.location}/{name}", f"the field {missing[0]!r} is missing"
    return None
