"""One line of a figure over target sparsity: seeds as dots, means as a line, t-intervals as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from analysis.figures import theme
from analysis.grid import SeedValue
from analysis.statistics import Interval


class LinePoint(NamedTuple):
    """One sparsity of a line.

    Attributes:
        sparsity: target; None is the dense parent.
        x: place on the sparsity axis.
        values: every finished seed.
        interval: mean and t-interval of the values.
        num_seeds: cells asked for.
        unfinished: in words, e.g. `1 failed`; empty where every cell is finished.
    """

    sparsity: float | None
    x: float
    values: tuple[SeedValue, ...]
    interval: Interval
    num_seeds: int
    unfinished: str


def line_traces(
    randomization: float,
    points: Sequence[LinePoint],
    style: theme.LevelStyle,
    *,
    quantity: str,
    confidence: float,
    value_range: tuple[float, float] | None,
    dot_px: int = 8,
    axes: Mapping[str, str] | None = None,
) -> list[go.Scatter]:
    """Band (where a point has an interval), mean and dots.

    Args:
        randomization: of the line.
        points: in order of sparsity.
        style: of the line.
        quantity: in words, for who points at it.
        confidence: of the intervals.
        value_range: to which bands are cut, as of `closed_bands`.
        dot_px: size of the dots.
        axes: of the panel, as of `panels.Panel.axes`.
    """
    name, where = f"p = {randomization:g}", dict(axes or {})
    mean = go.Scatter(
        x=theme.compact([point.x for point in points]),
        y=theme.compact([point.interval.mean for point in points]),
        mode="lines",
        connectgaps=False,
        line={"color": style.color, "width": 2.5},
        name=f"mean, {name}",
        text=[mean_hover(randomization, point, quantity, confidence) for point in points],
        hovertemplate="%{text}<extra></extra>",
        **where,
    )
    dots = [(point, value) for point in points for value in point.values]
    seeds = go.Scatter(
        x=theme.compact([point.x for point, _ in dots]),
        y=theme.compact([value.value for _, value in dots]),
        mode="markers",
        marker={
            "color": style.color,
            "symbol": style.symbol,
            "size": dot_px,
            "line": {"color": theme.PAPER, "width": 1},
        },
        name=f"seeds, {name}",
        # The same in every variant of a figure, so that a page holds it once; the value comes from y.
        text=[
            f"S = {point.sparsity or 0:g}, seed {value.seed}"
            + ("" if value.achieved_sparsity is None else f", achieved {value.achieved_sparsity:.3f}")
            for point, value in dots
        ],
        hovertemplate=f"{name}, %{{text}}<br>{quantity}: %{{y:.4f}}<extra></extra>",
        **where,
    )
    band_x, band_y = closed_bands(
        [(point.x, point.interval.low, point.interval.high) for point in points], value_range
    )
    if not band_x:
        return [mean, seeds]
    band = go.Scatter(
        x=theme.compact(band_x),
        y=theme.compact(band_y),
        fill="toself",
        fillcolor=theme.translucent(style.color, 0.16),
        line={"width": 0.5, "color": theme.translucent(style.color, 0.5)},
        mode="lines",
        hoverinfo="skip",
        name=f"interval, {name}",
        **where,
    )
    return [band, mean, seeds]


class LineEnd(NamedTuple):
    """Where a line ends, and what it is called."""

    name: str
    x: float
    y: float


def last_mean(randomization: float, points: Sequence[LinePoint]) -> LineEnd | None:
    """The end of a line: its last point with a mean; None where no point has one."""
    for point in reversed(points):
        if point.interval.mean is not None:
            return LineEnd(f"p = {randomization:g}", point.x, point.interval.mean)
    return None


def end_labels(
    ends: Sequence[LineEnd],
    last: float,
    gap: float,
    low: float,
    high: float,
    refs: Mapping[str, str] | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Labels beside a panel, and leaders from lines that end before its last place.

    Args:
        ends: of the lines.
        last: place at which labels stand.
        gap: least distance between two of them; of more lines than have room every so many is labelled.
        low: of the axis, and of the labels.
        high: the same.
        refs: of the panel, as of `panels.Panel.refs`.

    Returns:
        Annotations and shapes.
    """
    order = sorted(range(len(ends)), key=lambda index: ends[index].y)
    every = -(-len(ends) // max(int((high - low) / gap) + 1, 1)) if ends else 1
    shown = [ends[index] for index in sorted(order[::every])]
    where = dict(refs or {})
    heights = theme.spread([end.y for end in shown], gap, low, high)
    labels, leaders = [], []
    for end, height in zip(shown, heights, strict=True):
        labels.append(theme.end_label(end.name, last, height, **where))
        if end.x < last:
            leaders.append(theme.leader(end.x, end.y, last, height, **where))
    return labels, leaders


def mean_hover(randomization: float, point: LinePoint, quantity: str, confidence: float) -> str:
    """What is told of a mean under the pointer."""
    interval = point.interval
    mean = "none" if interval.mean is None else f"{interval.mean:.4f}"
    bounds = ""
    if interval.low is not None:
        bounds = f"<br>{confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f}"
    state = f" ({point.unfinished})" if point.unfinished else ""
    return (
        f"p = {randomization:g}, S = {point.sparsity or 0:g}<br>{quantity}: mean {mean}{bounds}"
        f"<br>n = {interval.n} of {point.num_seeds}{state}"
    )


def closed_bands(
    intervals: Sequence[tuple[float, float | None, float | None]],
    value_range: tuple[float, float] | None = None,
) -> tuple[list[float | None], list[float | None]]:
    """Closed polygons around intervals (x, low, high), as x and y with None between two polygons.

    A point without bounds ends a polygon. Bounds are cut to `value_range`.
    """
    lowest, highest = value_range or (float("-inf"), float("inf"))
    runs: list[list[tuple[float, float, float]]] = [[]]
    for x, low, high in intervals:
        if low is None or high is None:
            runs.append([])
        else:
            runs[-1].append((x, min(max(low, lowest), highest), min(max(high, lowest), highest)))
    xs: list[float | None] = []
    ys: list[float | None] = []
    for run in filter(None, runs):
        if xs:
            xs.append(None)
            ys.append(None)
        forth = [x for x, _, _ in run]
        xs += [*forth, *reversed(forth), forth[0]]
        ys += [*(high for _, _, high in run), *(low for _, low, _ in reversed(run)), run[0][2]]
    return xs, ys
