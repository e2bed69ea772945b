"""Accuracy against sparsity."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table
from analysis.exhibits.metric_control import METRIC
from analysis.exhibits.point_rows import POINT_COLUMNS, point_row, seeds_of, value_columns
from analysis.experiment_data import ExperimentData
from analysis.figures.tradeoff import SCALES, TradeoffInfo, caption, get_tradeoff_info, plot_tradeoff

VALUE = Control("value", "Value", (("absolute", "as measured"), ("drop", "drop from parent")))
AXIS = Control("axis", "Sparsity axis", (("sparsity", "S"), ("halvings", "−log₂(1 − S)")))
assert set(AXIS.values) == set(SCALES)


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """Which accuracy, as measured or as a drop, on which axis."""
    return (METRIC, VALUE, AXIS)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The trade-off of an experiment."""
    axis = next(scale for scale in SCALES if scale == choices["axis"])
    info = get_tradeoff_info(data.frame, choices["metric"], x=axis, relative=choices["value"] == "drop")
    return Exhibit(plot_tradeoff(info), caption(info), table(info))


def table(info: TradeoffInfo) -> Table:
    """One row a point of the grid."""
    seeds = seeds_of(point for line in info.lines for point in line.points)
    rows = [point_row(line.randomization, point, seeds) for line in info.lines for point in line.points]
    return Table(info.quantity, (*POINT_COLUMNS, *value_columns(seeds)), rows, num_label_columns=2)


TRADEOFF = ExhibitKind(name="tradeoff", title="Accuracy against sparsity", controls=controls, draw=draw)
