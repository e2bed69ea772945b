"""Typed tables: the columns of results and curves, their dtypes, and the way to Arrow and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from rc_core.experiment import COLUMNS

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
# Every column's dtype, also of a table without rows. A missing value is NaN; in Int64 and
# boolean columns pandas.NA.
DTYPES: dict[str, str] = (
    dict.fromkeys(COLUMNS, "str")
    | dict.fromkeys(_FLOAT_COLUMNS, "float64")
    | {"seed": "int64", "steps": "Int64", "threads": "Int64", "stacked": "boolean"}
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

_ARROW_TYPES = {
    "str": pa.large_string(),
    "float64": pa.float64(),
    "int64": pa.int64(),
    "Int64": pa.int64(),
    "boolean": pa.bool_(),
}
_NULLABLE_DTYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def typed_frame(columns: Mapping[str, Sequence[Any]], dtypes: Mapping[str, str], origin: str) -> pd.DataFrame:
    """A frame with exactly the columns of `dtypes`.

    Raises:
        ValueError: a value does not fit its column; the message starts with `origin`.
    """
    series: dict[str, pd.Series[Any]] = {}
    for name, dtype in dtypes.items():
        try:
            series[name] = pd.Series(columns[name], dtype=dtype)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{origin}: a value of column {name!r} is no {dtype} ({error}); "
                "remove that cell's folder and run the sweep again"
            ) from error
    return pd.DataFrame(series)


def frame_to_arrow(frame: pd.DataFrame, dtypes: Mapping[str, str]) -> pa.Table:
    """The table of a frame as of `typed_frame`; NaN stays NaN in numbers and is null in text."""
    return pa.table(
        {
            name: pa.array(
                frame[name].to_numpy() if dtype == "float64" else frame[name],
                type=_ARROW_TYPES[dtype],
                from_pandas=dtype != "float64",
            )
            for name, dtype in dtypes.items()
        }
    )


def arrow_to_frame(table: pa.Table, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Inverse of `frame_to_arrow`."""
    frame: pd.DataFrame = table.select(list(dtypes)).to_pandas(types_mapper=_NULLABLE_DTYPES.get)
    return frame.astype(dict(dtypes))
