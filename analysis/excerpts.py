"""Excerpts of long tables: a page holds some hundred rows of each, and says where the others are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_Row = TypeVar("_Row")

MAX_ROWS = 500


def every_nth(rows: Sequence[_Row], all_of_them: str) -> tuple[Sequence[_Row], str]:
    """Rows spread evenly over all, at most `MAX_ROWS`.

    Args:
        rows: of the table.
        all_of_them: where the whole table is found, e.g. a command.

    Returns:
        The rows to show, and a sentence on those that are left out; empty where none is.
    """
    every = -(-len(rows) // MAX_ROWS)
    if every <= 1:
        return rows, ""
    return rows[::every], f"Every {every}. of {len(rows):,} rows; all of them: {all_of_them}."


def first_rows(rows: Sequence[_Row], all_of_them: str) -> tuple[Sequence[_Row], str]:
    """The first `MAX_ROWS` rows; arguments and result as of `every_nth`."""
    if len(rows) <= MAX_ROWS:
        return rows, ""
    return rows[:MAX_ROWS], f"The first {MAX_ROWS} of {len(rows):,} rows; all of them: {all_of_them}."
