"""Two sweeps: paired differences with their intervals, one row per point of the grid."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.comparison import Comparison, PairedCell, what_is_compared
from analysis.figures import theme
from analysis.figures.interval_rows import IntervalRow, plot_rows
from analysis.grid import METRICS, sparsity_label

DifferenceForestInfo = Comparison


def caption(info: DifferenceForestInfo) -> str:
    """What is drawn, n, and what is missing."""
    words = METRICS[info.metric]
    return (
        f"{words[0].upper()}{words[1:]}, {info.second} minus {info.first}, paired by randomization p, "
        f"target sparsity S and seed; right of 0, {info.second} is higher. Ticks: single seeds; marks: "
        f"means; bars: {info.confidence:.0%} t-intervals of the mean difference, none where fewer than two "
        f"pairs are finished. {what_is_compared(info)}"
    )


def plot_difference_forest(info: DifferenceForestInfo) -> go.Figure:
    """The forest of differences.

    Args:
        info: as of `analysis.comparison.compare`.
    """
    if not info.num_pairs:
        return theme.note(theme.new_figure(height=160), "No pair of cells is finished in both sweeps.")
    return plot_rows(
        [_row(cell) for cell in info.cells],
        f"difference of {METRICS[info.metric]}",
        zero_line=True,
        value_range=None,
    )


def _row(cell: PairedCell) -> IntervalRow:
    interval = cell.interval
    mean = "none" if interval.mean is None else f"{interval.mean:+.4f}"
    bounds = "" if interval.low is None else f" ({interval.low:+.4f} to {interval.high:+.4f})"
    return IntervalRow(
        randomization=cell.randomization,
        sparsity=cell.sparsity,
        seeds=cell.seeds,
        values=cell.differences,
        interval=interval,
        num_seeds=cell.num_shared,
        reference=None,
        remark="no finished pair",
        hover=(
            f"p = {cell.randomization:g}, S = {sparsity_label(cell.sparsity)}<br>difference: mean "
            f"{mean}{bounds}<br>n = {interval.n} of {cell.num_shared} pairs"
        ),
    )
