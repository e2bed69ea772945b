"""Accuracy against sparsity, one line per randomization: every seed, the mean, a t-interval as a band."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import theme
from analysis.grid import METRICS, GridCell, SeedValue, summarize, what_is_left_out
from analysis.statistics import Interval


class TradeoffPoint(NamedTuple):
    """One sparsity of a line.

    Attributes:
        sparsity: target; None is the dense parent, drawn at 0.
        values: every finished seed.
        interval: mean and t-interval.
        num_seeds: cells asked for.
        unfinished: in words, e.g. `1 failed`; empty where every cell is finished.
    """

    sparsity: float | None
    values: tuple[SeedValue, ...]
    interval: Interval
    num_seeds: int
    unfinished: str

    @property
    def x(self) -> float:
        """Place on the sparsity axis."""
        return 0.0 if self.sparsity is None else self.sparsity


class TradeoffLine(NamedTuple):
    """One randomization, with its points in order of sparsity; points that the grid lacks are left out."""

    randomization: float
    points: tuple[TradeoffPoint, ...]


class TradeoffInfo(NamedTuple):
    """What the trade-off figure shows.

    Attributes:
        metric: a key of `analysis.grid.METRICS`.
        confidence: of the bands.
        lines: by ascending randomization; one without any value is kept, so that it can be told.
        left_out: sentence on n and on what is missing.
    """

    metric: str
    confidence: float
    lines: tuple[TradeoffLine, ...]
    left_out: str


def get_tradeoff_info(
    frame: pd.DataFrame, metric: str = "train_accuracy", confidence: float = 0.95
) -> TradeoffInfo:
    """The trade-off of an experiment.

    Args:
        frame: as of `analysis.results.load`.
        metric: `train_accuracy`, `test_accuracy`, `accuracy_kept`, `accuracy_redrawn` or `accuracy_true`.
        confidence: of the t-intervals, (0, 1).

    Raises:
        ValueError: unknown metric.
    """
    summary = summarize(frame, metric, confidence)
    lines = tuple(
        TradeoffLine(randomization, tuple(_point(cell) for cell in cells if cell.num_seeds))
        for randomization, cells in summary.rows
    )
    return TradeoffInfo(metric, confidence, lines, what_is_left_out(summary))


def _point(cell: GridCell) -> TradeoffPoint:
    return TradeoffPoint(cell.sparsity, cell.values, cell.interval, cell.num_seeds, cell.unfinished)


def caption(info: TradeoffInfo) -> str:
    """What is drawn, n, and what is missing."""
    words = METRICS[info.metric]
    return (
        f"{words[0].upper()}{words[1:]} against target sparsity, one line per randomization p; at sparsity 0 "
        f"the dense parents. Dots: single seeds; lines: means; bands: {info.confidence:.0%} t-intervals of "
        f"the mean, cut at 0 and 1, none where fewer than two seeds are finished. {info.left_out}"
    )


def plot_tradeoff(
    source: TradeoffInfo | pd.DataFrame, metric: str = "train_accuracy", confidence: float = 0.95
) -> go.Figure:
    """The trade-off figure.

    Args:
        source: an info, or a frame from which it is made.
        metric: where a frame is given, as of `get_tradeoff_info`.
        confidence: where a frame is given.
    """
    info = source if isinstance(source, TradeoffInfo) else get_tradeoff_info(source, metric, confidence)
    figure = theme.new_figure(height=440)
    if not any(point.values for line in info.lines for point in line.points):
        return theme.note(figure, f"No finished cell has a {METRICS[info.metric]} yet.")
    ticks = {point.x: point.sparsity for line in info.lines for point in line.points}
    for line, style in zip(info.lines, theme.level_styles(len(info.lines)), strict=True):
        _add_band(figure, line, style.color)
        _add_mean(figure, line, style, info)
        _add_dots(figure, line, style)
    _add_end_labels(figure, info)
    x_max = max(ticks)
    figure.update_xaxes(
        theme.axis(
            "target sparsity (masked / prunable weights)",
            tickvals=sorted(ticks),
            ticktext=theme.staggered(
                [f"{x:g}" if ticks[x] is not None else "0<br>dense" for x in sorted(ticks)], sorted(ticks)
            ),
            range=[-0.03 * max(x_max, 0.1), 1.03 * max(x_max, 0.1)],
            tickangle=0,
        )
    )
    figure.update_yaxes(theme.axis(METRICS[info.metric], range=[-0.02, 1.03], dtick=0.2))
    return figure


def band_polygon(points: tuple[TradeoffPoint, ...]) -> tuple[list[float | None], list[float | None]]:
    """Closed polygon(s) around the intervals, cut at 0 and 1, as x and y; None stands between parts."""
    runs: list[list[TradeoffPoint]] = [[]]
    for point in points:
        if point.interval.half_width is None:
            runs.append([])
        else:
            runs[-1].append(point)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for run in filter(None, runs):
        if xs:
            xs.append(None)
            ys.append(None)
        lows = [max(point.interval.low or 0.0, 0.0) for point in run]
        highs = [min(point.interval.high or 0.0, 1.0) for point in run]
        forth = [point.x for point in run]
        xs += [*forth, *reversed(forth), forth[0]]
        ys += [*highs, *reversed(lows), highs[0]]
    return xs, ys


def _add_band(figure: go.Figure, line: TradeoffLine, color: str) -> None:
    xs, ys = band_polygon(line.points)
    if not xs:
        return
    figure.add_trace(
        go.Scatter(
            x=xs,
            y=ys,
            fill="toself",
            fillcolor=theme.translucent(color, 0.16),
            line={"width": 0.5, "color": theme.translucent(color, 0.5)},
            mode="lines",
            hoverinfo="skip",
            name=f"interval, p = {line.randomization:g}",
        )
    )


def _add_mean(figure: go.Figure, line: TradeoffLine, style: theme.LevelStyle, info: TradeoffInfo) -> None:
    figure.add_trace(
        go.Scatter(
            x=[point.x for point in line.points],
            y=[point.interval.mean for point in line.points],
            mode="lines",
            connectgaps=False,
            line={"color": style.color, "width": 2.5},
            name=f"mean, p = {line.randomization:g}",
            text=[_hover_of_mean(line, point, info.confidence) for point in line.points],
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _hover_of_mean(line: TradeoffLine, point: TradeoffPoint, confidence: float) -> str:
    interval = point.interval
    mean = "none" if interval.mean is None else f"{interval.mean:.3f}"
    bounds = (
        ""
        if interval.low is None
        else f"<br>{confidence:.0%} interval {interval.low:.3f} to {interval.high:.3f}"
    )
    state = f" ({point.unfinished})" if point.unfinished else ""
    return (
        f"p = {line.randomization:g}, S = {point.x:g}<br>mean {mean}{bounds}"
        f"<br>n = {interval.n} of {point.num_seeds}{state}"
    )


def _add_dots(figure: go.Figure, line: TradeoffLine, style: theme.LevelStyle) -> None:
    dots = [(point, value) for point in line.points for value in point.values]
    figure.add_trace(
        go.Scatter(
            x=[point.x for point, _ in dots],
            y=[value.value for _, value in dots],
            mode="markers",
            marker={
                "color": style.color,
                "symbol": style.symbol,
                "size": 8,
                "line": {"color": theme.PAPER, "width": 1},
            },
            name=f"seeds, p = {line.randomization:g}",
            text=[
                f"p = {line.randomization:g}, S = {point.x:g}, seed {value.seed}<br>{value.value:.4f}"
                + (
                    ""
                    if value.achieved_sparsity is None
                    else f"<br>achieved sparsity {value.achieved_sparsity:.3f}"
                )
                for point, value in dots
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _add_end_labels(figure: go.Figure, info: TradeoffInfo) -> None:
    ends = [
        (line, [point for point in line.points if point.interval.mean is not None][-1])
        for line in info.lines
        if any(point.interval.mean is not None for point in line.points)
    ]
    heights = theme.spread([point.interval.mean or 0.0 for _, point in ends], 0.055, 0.0, 1.0)
    for (line, point), height in zip(ends, heights, strict=True):
        figure.add_annotation(theme.end_label(f"p = {line.randomization:g}", point.x, height))
