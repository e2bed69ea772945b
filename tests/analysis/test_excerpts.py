from __future__ import annotations

import re
from typing import Any

import pytest

from analysis.excerpts import MAX_ROWS, every_nth, first_rows
from analysis.report import build_report
from rc_core.cells import Grid


@pytest.mark.parametrize("num_rows", [0, 1, MAX_ROWS])
def test_a_short_table_is_shown_whole(num_rows: int) -> None:
    rows = list(range(num_rows))
    assert every_nth(rows, "x") == first_rows(rows, "x") == (rows, "")


def test_of_a_long_table_a_part_is_shown_and_told() -> None:
    rows, note = every_nth(list(range(1201)), "rcsweep export")
    assert list(rows) == list(range(0, 1201, 3))
    assert note == "Every 3. of 1,201 rows; all of them: rcsweep export."
    rows, note = first_rows(list(range(1201)), "rcsweep export")
    assert list(rows) == list(range(500))
    assert note == "The first 500 of 1,201 rows; all of them: rcsweep export."
    assert len(every_nth(list(range(MAX_ROWS + 1)), "")[0]) == 251


def test_a_report_of_many_cells_shows_a_part_of_them_and_says_so(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=tuple(range(100)))
    html = build_report(make_sweep(grid=grid, missing=[cell.cell_id for cell in grid.cells()]))
    assert "The 600 unfinished cells (0 failed)" in html
    assert html.count("<p>Every 2. of 600 rows; all of them: the CSV file.</p>") == 2
    unfinished, every_cell = (
        re.search(f'aria-label="{label}".*?</table>', html, re.DOTALL)[0].count("<tr>") - 1  # type: ignore[index]
        for label in ("Unfinished cells", "Every cell")
    )
    assert (unfinished, every_cell) == (300, 300)
