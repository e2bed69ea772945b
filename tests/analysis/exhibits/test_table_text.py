from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.exhibits.exhibit import Table
from analysis.exhibits.table_text import row_texts, to_csv, value_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (math.nan, ""),
        (0.83125, "0.8313"),
        (-0.5, "-0.5000"),
        (12.346, "12.35"),
        (12345.67, "12,345.7"),
        (1200, "1200"),
        ("dense", "dense"),
    ],
)
def test_value_as_text(value: object, expected: str) -> None:
    assert value_text(value) == expected


def test_levels_keep_their_digits() -> None:
    assert row_texts((0.5, "0.95", 0.5, None), 2) == ["0.5", "0.95", "0.5000", ""]


def test_csv_leaves_empty_what_is_not_there() -> None:
    assert to_csv(Table("t", ("a", "b"), [(math.nan, 1.0), (None, 1 / 3)])) == (
        "a,b\r\n,1.0\r\n,0.3333333333333333\r\n"
    )


cells = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8")))


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_csv_gives_back_every_value(rows: list[tuple[object, ...]]) -> None:
    text = to_csv(Table("t", ("a", "b,c"), rows))
    header, *found = csv.reader(io.StringIO(text, newline=""))
    assert header == ["a", "b,c"]
    assert found == [["" if value is None else str(value) for value in row] for row in rows]
