"""The grid at a glance."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table
from analysis.exhibits.metric_control import METRIC
from analysis.exhibits.point_rows import POINT_COLUMNS, point_row, seeds_of, value_columns
from analysis.experiment_data import ExperimentData
from analysis.figures.grid_heatmap import GridHeatmapInfo, caption, get_grid_heatmap_info, plot_grid_heatmap
from analysis.grid import METRICS


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """Which accuracy."""
    return (METRIC,)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The heatmap of an experiment; it needs room for the numbers in its squares."""
    info = get_grid_heatmap_info(data.frame, choices["metric"])
    figure = plot_grid_heatmap(info)
    return Exhibit(figure, caption(info), table(info), min_width_px=100 + 58 * len(info.sparsities))


def table(info: GridHeatmapInfo) -> Table:
    """One row a point of the grid; those that the grid lacks are left out."""
    cells = [cell for cell in info.cells if cell.num_seeds]
    seeds = seeds_of(cells)
    rows = [point_row(cell.randomization, cell, seeds) for cell in cells]
    return Table(METRICS[info.metric], (*POINT_COLUMNS, *value_columns(seeds)), rows, num_label_columns=2)


HEATMAP = ExhibitKind(name="heatmap", title="The grid at a glance", controls=controls, draw=draw)
