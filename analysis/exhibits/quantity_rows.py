"""Quantities over the grid as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.exhibits.exhibit import Table
from analysis.exhibits.point_rows import POINT_COLUMNS, point_row, seeds_of, value_columns
from analysis.figures.level_lines import QuantityPanel


def quantity_table(label: str, quantities: Sequence[QuantityPanel], mean: str = "mean") -> Table:
    """One row a quantity and point of the grid.

    Args:
        label: of the table.
        quantities: to list, one after the other.
        mean: heading of the column of means.
    """
    cells = [(each.title, cell) for each in quantities for cell in each.summary.cells if cell.num_seeds]
    seeds = seeds_of(cell for _, cell in cells)
    rows = [(title, *point_row(cell.randomization, cell, seeds)) for title, cell in cells]
    header = ("quantity", *POINT_COLUMNS, *value_columns(seeds, mean))
    return Table(label, header, rows, num_label_columns=3)
