"""Accuracy against sparsity, one line per randomization: every seed, the mean, a t-interval as a band."""

from __future__ import annotations

import math
import textwrap
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import theme
from analysis.figures.seed_lines import LinePoint, closed_bands, end_labels, last_mean, line_traces
from analysis.grid import METRICS, GridCell, SeedValue, summarize, what_is_left_out
from analysis.statistics import mean_interval

Scale = Literal["sparsity", "halvings"]

# Titles of the sparsity axis by its scale.
SCALES: dict[Scale, str] = {
    "sparsity": "target sparsity S (masked / prunable weights)",
    "halvings": "target sparsity S, spaced by −log₂(1 − S)",
}


class TradeoffLine(NamedTuple):
    """One randomization.

    Attributes:
        randomization: level.
        points: in order of sparsity; points that the grid lacks are left out.
        control: mean of the dense parents, the line that pruning falls from; None without a finished parent.
    """

    randomization: float
    points: tuple[LinePoint, ...]
    control: float | None


class TradeoffInfo(NamedTuple):
    """What the trade-off figure shows.

    Attributes:
        metric: a key of `analysis.grid.METRICS`.
        confidence: of the bands.
        scale: of the sparsity axis.
        is_relative: whether values are drops from the parent.
        lines: by ascending randomization; one without any value is kept, so that it can be told.
        left_out: sentences on n and on what is missing.
    """

    metric: str
    confidence: float
    scale: Scale
    is_relative: bool
    lines: tuple[TradeoffLine, ...]
    left_out: str

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(point.values for line in self.lines for point in line.points)

    @property
    def quantity(self) -> str:
        """The vertical axis in words."""
        words = METRICS[self.metric]
        return f"drop of {words} from the dense parent" if self.is_relative else words

    @property
    def bounds(self) -> tuple[float, float]:
        """Range of the quantity."""
        return (-1.0, 1.0) if self.is_relative else (0.0, 1.0)


def get_tradeoff_info(
    frame: pd.DataFrame,
    metric: str = "train_accuracy",
    confidence: float = 0.95,
    *,
    x: Scale = "sparsity",
    relative: bool = False,
) -> TradeoffInfo:
    """The trade-off of an experiment.

    Args:
        frame: as of `analysis.results.load`.
        metric: `train_accuracy`, `test_accuracy`, `accuracy_kept`, `accuracy_redrawn` or `accuracy_true`.
        confidence: of the t-intervals, (0, 1).
        x: `sparsity`, or `halvings`: -log2(1 - S).
        relative: parent's metric minus the cell's, seed by seed, instead of the cell's.

    Raises:
        ValueError: unknown metric or x.
    """
    if x not in SCALES:
        raise ValueError(f"x = {x!r}: must be one of {', '.join(SCALES)}")
    summary = summarize(frame, metric, confidence)
    lines = []
    num_unpaired = 0
    for randomization, cells in summary.rows:
        parents = {
            value.seed: value.value for cell in cells if cell.sparsity is None for value in cell.values
        }
        points = []
        for cell in (cell for cell in cells if cell.num_seeds):
            values = _drops(cell, parents) if relative else cell.values
            num_unpaired += len(cell.values) - len(values)
            interval = mean_interval((value.value for value in values), confidence)
            place = axis_place(cell.sparsity, "sparsity")
            points.append(LinePoint(cell.sparsity, place, values, interval, cell.num_seeds, cell.unfinished))
        control = 0.0 if relative else mean_interval(parents.values(), confidence).mean
        lines.append(TradeoffLine(randomization, tuple(points), control if parents else None))
    left_out = what_is_left_out(summary)
    if num_unpaired:
        lacking = "1 finished cell has" if num_unpaired == 1 else f"{num_unpaired} finished cells have"
        left_out += f" {lacking} no finished parent in the table to compare with, and no dot."
    info = TradeoffInfo(metric, confidence, "sparsity", relative, tuple(lines), left_out)
    return on_scale(info, x)


def on_scale(info: TradeoffInfo, scale: Scale) -> TradeoffInfo:
    """The same with another sparsity axis."""
    lines = tuple(
        line._replace(
            points=tuple(point._replace(x=axis_place(point.sparsity, scale)) for point in line.points)
        )
        for line in info.lines
    )
    return info._replace(scale=scale, lines=lines)


def _drops(cell: GridCell, parents: dict[int, float]) -> tuple[SeedValue, ...]:
    return tuple(
        value._replace(value=parents[value.seed] - value.value)
        for value in cell.values
        if value.seed in parents
    )


def axis_place(sparsity: float | None, scale: Scale) -> float:
    """Place of a target sparsity, [0, 1), on the axis; None is the dense parent, at 0."""
    if sparsity is None:
        return 0.0
    return sparsity if scale == "sparsity" else -math.log2(1 - sparsity)


def caption(info: TradeoffInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.has_values:
        return _nothing(info)
    scale = (
        ""
        if info.scale == "sparsity"
        else " (spaced by −log₂(1 − S): one unit halves the weights that are left)"
    )
    dense = (
        "at sparsity 0 the dense parents, whose drop is 0 by definition"
        if info.is_relative
        else "at sparsity 0, and as dotted lines, the dense parents"
    )
    low, high = (f"{bound:g}".replace("-", "−") for bound in info.bounds)
    return (
        f"{info.quantity[0].upper()}{info.quantity[1:]} against target sparsity S{scale}, one line per "
        f"randomization p; {dense}. Dots: single seeds; lines: means; bands: {info.confidence:.0%} "
        f"t-intervals of the mean, cut at {low} and {high}, none where fewer than two seeds are finished. "
        f"{info.left_out}"
    )


def _nothing(info: TradeoffInfo) -> str:
    return f"No finished cell has a {METRICS[info.metric]} yet."


def plot_tradeoff(
    source: TradeoffInfo | pd.DataFrame,
    metric: str = "train_accuracy",
    confidence: float = 0.95,
    *,
    x: Scale = "sparsity",
    relative: bool = False,
) -> go.Figure:
    """The trade-off figure.

    Args:
        source: an info, or a frame from which it is made.
        metric: where a frame is given, as of `get_tradeoff_info`; so are the rest.
        confidence: see there.
        x: see there.
        relative: see there.
    """
    info = (
        source
        if isinstance(source, TradeoffInfo)
        else get_tradeoff_info(source, metric, confidence, x=x, relative=relative)
    )
    figure = theme.new_figure(height=440)
    if not info.has_values:
        return theme.note(figure, _nothing(info))
    sparsities = {point.x: point.sparsity for line in info.lines for point in line.points}
    places = sorted(sparsities)
    last = max(places[-1], 0.1)
    # All at once: plotly checks every earlier trace again for each one that is added.
    traces: list[Any] = []
    for line, style in zip(info.lines, theme.level_styles(len(info.lines)), strict=True):
        traces += _control(line, style.color, last)
        traces += line_traces(
            line.randomization,
            line.points,
            style,
            quantity=info.quantity,
            confidence=info.confidence,
            value_range=info.bounds,
        )
    figure.add_traces(traces)
    y_range = _y_range(info)
    ends = filter(None, (last_mean(line.randomization, line.points) for line in info.lines))
    low, high = max(y_range[0], info.bounds[0]), min(y_range[1], info.bounds[1])
    annotations, shapes = end_labels([*ends], last, 0.055 * (high - low), low, high)
    label_px = 18 + 8 * max(len(label["text"]) for label in annotations)
    figure.update_layout(annotations=annotations, shapes=shapes, margin_r=max(label_px, 70))
    labels = ["0<br>dense" if sparsities[place] is None else f"{sparsities[place]:g}" for place in places]
    figure.update_xaxes(
        theme.axis(
            SCALES[info.scale],
            tickvals=places,
            ticktext=theme.staggered(labels, places),
            range=[-0.03 * last, 1.03 * last],
            tickangle=0,
        )
    )
    words = info.quantity
    # In two lines of about equal length where one is longer than the axis.
    title = "<br>".join(textwrap.wrap(words, len(words) // 2 + 6 if len(words) > 44 else 44))
    figure.update_yaxes(theme.axis(title, range=y_range, dtick=None if info.is_relative else 0.2))
    return figure


def _y_range(info: TradeoffInfo) -> list[float]:
    if not info.is_relative:
        return [-0.02, 1.03]
    points = [point for line in info.lines for point in line.points]
    _, ys = closed_bands([(point.x, *point.interval[1:3]) for point in points], info.bounds)
    shown = [value.value for point in points for value in point.values] + [y for y in ys if y is not None]
    low, high = min(0.0, *shown), max(0.1, *shown)
    return [low - 0.03 * (high - low), high + 0.03 * (high - low)]


def _control(line: TradeoffLine, color: str, last: float) -> list[go.Scatter]:
    if line.control is None:
        return []
    return [
        go.Scatter(
            x=[0.0, last],
            y=[line.control, line.control],
            mode="lines",
            line={"color": color, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            name=f"dense parents, p = {line.randomization:g}",
        )
    ]
