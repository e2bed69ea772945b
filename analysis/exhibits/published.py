"""The published training accuracies against ours."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Exhibit, ExhibitKind, Table, no_controls
from analysis.exhibits.point_rows import POINT_COLUMNS, seeds_of, value_columns, value_row
from analysis.experiment_data import ExperimentData
from analysis.figures.published_table import (
    PublishedTableInfo,
    caption,
    get_published_table_info,
    plot_published_table,
)
from analysis.grid import sparsity_label


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The published points that the experiment's grid has."""
    info = get_published_table_info(data.frame)
    return Exhibit(plot_published_table(info), caption(info), table(info))


def table(info: PublishedTableInfo) -> Table:
    """One row a point that both have."""
    seeds = seeds_of(cell.ours for cell in info.cells)
    rows: list[tuple[object, ...]] = [
        (
            cell.ours.randomization,
            sparsity_label(cell.ours.sparsity),
            cell.published,
            *value_row(cell.ours, seeds),
        )
        for cell in info.cells
    ]
    header = (*POINT_COLUMNS, "published", *value_columns(seeds))
    return Table("training accuracy, published and ours", header, rows, num_label_columns=2)


PUBLISHED = ExhibitKind(
    name="published", title="Against the published numbers", controls=no_controls, draw=draw
)
