"""From an experiment folder to tidy tables: one row a cell, one row a logged step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from analysis.cell_table import read_cell_table
from analysis.curve_table import folder_name, read_curves
from analysis.typed_tables import DTYPES, arrow_to_frame, typed_frame
from analysis.typed_tables import HISTORY_DTYPES as HISTORY_DTYPES  # part of what this module offers
from rc_core.experiment import (
    DRIVER_FILE,
    FAILURE_FILE,
    RECORD_FILE,
    SWEEP_FILE,
    SweepSpec,
    read_driver,
    read_json,
)
from rc_core.storage import Storage, open_storage

_Result = TypeVar("_Result")

EXPORT_SUFFIXES = (".csv", ".parquet", ".json")


def load(location: str | Path | Storage, *, use_index: bool = True) -> pd.DataFrame:
    """The tidy table of an experiment: one row a cell, missing and failed ones included.

    Args:
        location: folder of a sweep, a folder of single cells, one cell's folder, or a URI such as
            `s3://bucket/prefix`. The folder may have been moved.
        use_index: whether finished cells that were read before, and whose files are unchanged since, may come
            from the index (analysis/index.py); the table is the same either way.

    Returns:
        Columns `rc_core.experiment.COLUMNS` in that order, dtypes `DTYPES`; trainings first, in grid order.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged or newer than this code; the message names it.
    """
    storage = _open(location)
    return arrow_to_frame(_reading(storage, lambda: read_cell_table(storage, use_index=use_index)), DTYPES)


def rows_to_frame(rows: Iterable[Mapping[str, Any]], origin: str = "rows") -> pd.DataFrame:
    """The tidy table of result rows; columns that a row lacks are missing values.

    Raises:
        ValueError: a value does not fit its column; the message starts with `origin`.
    """
    given = list(rows)
    return typed_frame({name: [row.get(name) for row in given] for name in DTYPES}, DTYPES, origin)


def load_spec(location: str | Path | Storage) -> SweepSpec | None:
    """What was asked for: recipe, grids, provenance; None in a folder of single cells.

    Raises:
        ValueError: `sweep.json` is damaged or newer than this code.
    """
    storage = _open(location)
    return _reading(storage, lambda: SweepSpec.read(storage))


def load_history(
    location: str | Path | Storage, cell_ids: Iterable[str] | None = None, *, use_index: bool = True
) -> pd.DataFrame:
    """Curves in long form: one row per cell and logged step.

    `train_loss` and `train_accuracy` are train-mode minibatch means over the steps since the previous row.

    Args:
        location: as of `load`.
        cell_ids: cells whose curves are wanted; None means every finished one.
        use_index: as of `load`.

    Returns:
        Columns and dtypes `HISTORY_DTYPES`; columns that only prunings have are missing values for trainings.
        A cell without curves has no rows.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged or newer than this code; the message names it.
    """
    storage = _open(location)
    if cell_ids is None:
        table = load(storage, use_index=use_index)
        cell_ids = table.loc[table["status"] == "done", "cell_id"]
    return read_curves(storage, [str(cell_id) for cell_id in cell_ids], use_index=use_index)


def experiment_name(location: str | Path | Storage) -> str:
    """Last part of the folder's path: the name under which the sweep was run, unless it was renamed."""
    return folder_name(_open(location))


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
