"""Training curves: parents and the prunings that start from them, joined at the warm start."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.curves import Curve, CurvesPanel, Scale, curve_panels
from analysis.figures import theme
from analysis.grid import sparsity_label
from rc_core.recipes import Recipe

CURVE_METRICS = {"train_accuracy": "minibatch training accuracy", "train_loss": "minibatch training loss"}

SCALES: dict[Scale, str] = {
    "step": "step (training, then pruning)",
    "epoch": "epoch (training, then pruning)",
    "wall_seconds": "wall time (training, then pruning)",
}
_TIME_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))

# Height of a panel, and of the ticks and the title between two.
_PANEL_PX, _GAP_PX = 165, 62


class CurvesInfo(NamedTuple):
    """What the curves figure shows.

    Attributes:
        metric: a key of `CURVE_METRICS`.
        by: `mean` over seeds, or `seed`: one curve a cell.
        scale: of the horizontal axis, a key of `SCALES`.
        panels: by ascending randomization.
        num_cells: cells with curves.
        num_cells_asked: cells of the sweep.
    """

    metric: str
    by: Literal["mean", "seed"]
    scale: Scale
    panels: tuple[CurvesPanel, ...]
    num_cells: int
    num_cells_asked: int


def get_curves_info(
    frame: pd.DataFrame,
    history: pd.DataFrame,
    metric: str = "train_accuracy",
    by: Literal["mean", "seed"] = "mean",
    *,
    x: Scale = "step",
    recipe: Recipe | None = None,
) -> CurvesInfo:
    """Curves of the finished cells.

    Args:
        frame: as of `analysis.results.load`.
        history: as of `analysis.results.load_history`.
        metric: `train_accuracy` or `train_loss`.
        by: as of `analysis.curves.curve_panels`; so are the rest.
        x: see there.
        recipe: see there.

    Raises:
        ValueError: unknown metric, or an x that `analysis.curves.curve_scales` does not have.
    """
    if metric not in CURVE_METRICS:
        raise ValueError(f"metric = {metric!r}: must be one of {', '.join(CURVE_METRICS)}")
    panels = curve_panels(frame, history, metric, by, x=x, recipe=recipe)
    num_cells = sum(curve.num_cells for panel in panels for curve in panel.curves)
    return CurvesInfo(metric, by, x, panels, num_cells, len(frame))


def caption(info: CurvesInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.panels:
        return f"No finished cell has curves yet (of {info.num_cells_asked})."
    counts = sorted({curve.num_cells for panel in info.panels for curve in panel.curves})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    drawn = "one line a cell" if info.by == "seed" else f"mean over n = {seeds} seed{'s' * (counts[-1] > 1)}"
    words = CURVE_METRICS[info.metric]
    counting = {
        "step": "A child's steps count on from its parent's last one",
        "epoch": "One epoch is as many examples as there are; a child's count on from its parent's end",
        "wall_seconds": "The wall time of a cell, evaluation included, is shared out evenly over its steps; "
        "a child's counts on from its parent's end",
    }[info.scale]
    return (
        f"{words[0].upper()}{words[1:]} while training and, after the dotted line, while pruning towards "
        f"target sparsity S, {drawn}, one panel per randomization p. {counting}. Means over the minibatches "
        "since the previous point, in training mode: not the accuracies of the tables. "
        f"{info.num_cells} of {info.num_cells_asked} cells have curves."
    )


def plot_curves(
    source: CurvesInfo | pd.DataFrame,
    history: pd.DataFrame | None = None,
    metric: str = "train_accuracy",
    by: Literal["mean", "seed"] = "mean",
    *,
    x: Scale = "step",
    recipe: Recipe | None = None,
) -> go.Figure:
    """The curves figure.

    Args:
        source: an info, or a frame; with a frame, `history` is needed.
        history: as of `get_curves_info`; so are the rest.
        metric: see there.
        by: see there.
        x: see there.
        recipe: see there.
    """
    if isinstance(source, CurvesInfo):
        info = source
    else:
        if history is None:
            raise ValueError("history = None: a frame alone has no curves; give load_history(location), too")
        info = get_curves_info(source, history, metric, by, x=x, recipe=recipe)
    num_panels = len(info.panels)
    plot_px = num_panels * (_PANEL_PX + _GAP_PX) - _GAP_PX
    margin = {"l": 50, "r": 86, "t": 34, "b": 50}
    figure = theme.new_figure(height=max(plot_px, 0) + margin["t"] + margin["b"], margin=margin)
    if not info.panels:
        return theme.note(figure, "No finished cell has curves yet.")
    sparsities = sorted(
        {curve.sparsity for panel in info.panels for curve in panel.curves if curve.sparsity is not None}
    )
    colors = dict(
        zip(sparsities, (style.color for style in theme.level_styles(len(sparsities))), strict=True)
    )
    # Colour alone would not tell neighbours apart in grey print; the dash does, together with the end labels.
    dashes = dict(zip(sparsities, ("solid", "dash", "dot", "dashdot", "longdash") * 20, strict=False))
    values = [value for panel in info.panels for curve in panel.curves for value in curve.values]
    y_range = [-0.03, 1.06] if info.metric == "train_accuracy" else [0.0, 1.05 * max(values, default=1.0)]
    title, unit, last = _axis(info)
    # All at once: plotly checks everything that is there again for each part that is added.
    traces: list[go.Scatter] = []
    annotations: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for index, panel in enumerate(info.panels):
        suffix = "" if index == 0 else str(index + 1)
        is_last = index == num_panels - 1
        top_px = plot_px - index * (_PANEL_PX + _GAP_PX)
        domain = [max((top_px - _PANEL_PX) / plot_px, 0.0), top_px / plot_px]
        figure.update_layout(
            {
                f"xaxis{suffix}": theme.axis(
                    title if is_last else "",
                    anchor=f"y{suffix}",
                    matches=None if index == 0 else "x",
                    range=[0.0, 1.01 * last],
                ),
                f"yaxis{suffix}": theme.axis("", anchor=f"x{suffix}", domain=domain, range=y_range, nticks=5),
            }
        )
        traces += [_line(panel, curve, suffix, title, unit, colors, dashes) for curve in panel.curves]
        annotations.append(_panel_title(panel, info, suffix))
        for end in _line_ends(panel, unit, y_range):
            text = f"S = {sparsity_label(end.sparsity)}"
            where = {"xref": f"x{suffix}", "yref": f"y{suffix}"}
            annotations.append(theme.end_label(text, last, end.label_height, **where))
            if end.x < 0.98 * last:
                shapes.append(theme.leader(end.x, end.y, last, end.label_height, **where))
        if panel.warm_start is not None:
            shapes.append(_warm_start(panel.warm_start / unit, suffix))
    figure.add_traces(traces)
    figure.update_layout(annotations=annotations, shapes=shapes)
    return figure


def _axis(info: CurvesInfo) -> tuple[str, float, float]:
    """Of the horizontal axis: title, what places are divided by, and the last place in that unit."""
    title = SCALES[info.scale]
    last = max(place for panel in info.panels for curve in panel.curves for place in curve.places)
    if info.scale != "wall_seconds":
        return title, 1.0, last
    unit, name = next((unit, name) for unit, name in _TIME_UNITS if last >= 2 * unit or unit == 1)
    return title.replace("wall time", f"wall time in {name}"), unit, last / unit


def _line(
    panel: CurvesPanel,
    curve: Curve,
    suffix: str,
    title: str,
    unit: float,
    colors: dict[float, str],
    dashes: dict[float, str],
) -> go.Scatter:
    name = "parent" if curve.sparsity is None else f"S = {sparsity_label(curve.sparsity)}"
    who = f"n = {curve.num_cells}" if curve.seed is None else f"seed {curve.seed}"
    places, values = list(curve.places), list(curve.values)
    if curve.start is not None:
        places, values = [curve.start[0], *places], [curve.start[1], *values]
    return go.Scatter(
        x=theme.compact([place / unit for place in places]),
        y=theme.compact(values),
        mode="lines",
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
        line={
            "color": theme.INK if curve.sparsity is None else colors[curve.sparsity],
            "dash": "solid" if curve.sparsity is None else dashes[curve.sparsity],
            "width": 2 if curve.seed is None else 1.2,
        },
        name=f"p = {panel.randomization:g}, {name}, {who}",
        hovertemplate=f"p = {panel.randomization:g}, {name}, {who}<br>"
        f"{title.partition(' (')[0]} %{{x:.6~g}}<br>%{{y:.3f}}<extra></extra>",
    )


def _warm_start(place: float, suffix: str) -> dict[str, Any]:
    line = {"color": theme.MUTED, "width": 1, "dash": "dot"}
    where = {"xref": f"x{suffix}", "yref": f"y{suffix} domain"}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": line} | where


def _panel_title(panel: CurvesPanel, info: CurvesInfo, suffix: str) -> dict[str, Any]:
    return {
        "text": f"<b>p = {panel.randomization:g}</b>: {CURVE_METRICS[info.metric]}",
        "x": 0,
        "y": 1,
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 3,
    }


class _LineEnd(NamedTuple):
    """Where the line(s) of a sparsity end, and the height of their label."""

    sparsity: float
    x: float
    y: float
    label_height: float


def _line_ends(panel: CurvesPanel, unit: float, y_range: list[float]) -> list[_LineEnd]:
    # With one curve a cell the seeds of a sparsity end apart; the label stands at their mean.
    ends: dict[float, list[tuple[float, float]]] = {}
    for curve in panel.curves:
        if curve.sparsity is not None and curve.places:
            ends.setdefault(curve.sparsity, []).append((curve.places[-1] / unit, curve.values[-1]))
    heights = [math.fsum(value for _, value in some) / len(some) for some in ends.values()]
    low, high = y_range
    spread = theme.spread(heights, 0.105 * (high - low), low, high)
    return [
        _LineEnd(sparsity, max(place for place, _ in some), height, label_height)
        for (sparsity, some), height, label_height in zip(ends.items(), heights, spread, strict=True)
    ]
