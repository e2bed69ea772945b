"""Training curves: parents and the prunings that start from them, joined at the warm start."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import theme
from analysis.grid import sparsity_label

CURVE_METRICS = {"train_accuracy": "minibatch training accuracy", "train_loss": "minibatch training loss"}

# Height of a panel, and of the ticks and the title between two.
_PANEL_PX, _GAP_PX = 165, 62


class Curve(NamedTuple):
    """One line.

    Attributes:
        sparsity: target; None is the parent.
        seed: None for the mean over seeds.
        steps: completed steps, ascending; a child's count on from the end of its parent.
        values: the metric, mean over the window that ends at the step (and over `num_cells` cells).
        num_cells: cells in the mean.
    """

    sparsity: float | None
    seed: int | None
    steps: tuple[int, ...]
    values: tuple[float, ...]
    num_cells: int


class CurvesPanel(NamedTuple):
    """One randomization: the parents' curves first, then by sparsity."""

    randomization: float
    parent_steps: int
    curves: tuple[Curve, ...]


class CurvesInfo(NamedTuple):
    """What the curves figure shows.

    Attributes:
        metric: a key of `CURVE_METRICS`.
        by: `mean` over seeds, or `seed`: one curve a cell.
        panels: by ascending randomization.
        num_cells: cells with curves.
        num_cells_asked: cells of the sweep.
    """

    metric: str
    by: Literal["mean", "seed"]
    panels: tuple[CurvesPanel, ...]
    num_cells: int
    num_cells_asked: int


def get_curves_info(
    frame: pd.DataFrame,
    history: pd.DataFrame,
    metric: str = "train_accuracy",
    by: Literal["mean", "seed"] = "mean",
) -> CurvesInfo:
    """Curves of the finished cells.

    Args:
        frame: as of `analysis.results.load`.
        history: as of `analysis.results.load_history`.
        metric: `train_accuracy` or `train_loss`.
        by: `mean` averages the seeds at equal steps; only steps that every averaged cell has are kept.

    Raises:
        ValueError: unknown metric.
    """
    if metric not in CURVE_METRICS:
        raise ValueError(f"metric = {metric!r}: must be one of {', '.join(CURVE_METRICS)}")
    cells = frame[["cell_id", "parent_id", "randomization", "seed", "phase", "sparsity_target"]]
    logged = history[["cell_id", "step", metric]].dropna(subset=[metric]).merge(cells, on="cell_id")
    # A child whose parent is not in the table (it was trained elsewhere) starts at 0.
    lengths = frame.set_index("cell_id")["steps"]
    offsets = logged["parent_id"].map(lengths).fillna(0).astype("int64")
    logged = logged.assign(step=logged["step"] + offsets)
    panels = []
    for randomization in sorted(set(logged["randomization"])):
        panel = logged[logged["randomization"] == randomization]
        trained = panel[panel["phase"] == "train"]
        parent_steps = int(offsets[panel.index].max()) or int(trained["step"].max() if len(trained) else 0)
        pruned = panel[panel["phase"] != "train"]
        levels = [(None, trained)] if len(trained) else []
        levels += [
            (s, pruned[pruned["sparsity_target"] == s]) for s in sorted(set(pruned["sparsity_target"]))
        ]
        curves: list[Curve] = []
        for sparsity, rows in levels:
            curves += _mean_curve(rows, sparsity, metric) if by == "mean" else _curves(rows, sparsity, metric)
        panels.append(CurvesPanel(float(randomization), parent_steps, tuple(curves)))
    return CurvesInfo(metric, by, tuple(panels), int(logged["cell_id"].nunique()), len(frame))


def _mean_curve(rows: pd.DataFrame, sparsity: float | None, metric: str) -> list[Curve]:
    num_cells = int(rows["cell_id"].nunique())
    by_step = rows.groupby("step")[metric].agg(["mean", "count"])
    by_step = by_step[by_step["count"] == num_cells]
    return [Curve(sparsity, None, tuple(by_step.index.tolist()), tuple(by_step["mean"].tolist()), num_cells)]


def _curves(rows: pd.DataFrame, sparsity: float | None, metric: str) -> list[Curve]:
    return [
        Curve(sparsity, int(curve["seed"].iloc[0]), tuple(curve["step"]), tuple(curve[metric]), 1)
        for _, curve in rows.sort_values("step").groupby("seed")
    ]


def caption(info: CurvesInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.panels:
        return f"No finished cell has curves yet (of {info.num_cells_asked})."
    counts = sorted({curve.num_cells for panel in info.panels for curve in panel.curves})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    drawn = "one line a cell" if info.by == "seed" else f"mean over n = {seeds} seed{'s' * (counts[-1] > 1)}"
    words = CURVE_METRICS[info.metric]
    return (
        f"{words[0].upper()}{words[1:]} while training (dark) and while pruning towards target sparsity S, "
        f"{drawn}, one panel per randomization p. A child's steps count on from its parent's last one, at "
        "the dotted line. Means over the minibatches since the previous point, in training mode: not "
        f"the accuracies of the tables. {info.num_cells} of {info.num_cells_asked} cells have curves."
    )


def plot_curves(
    source: CurvesInfo | pd.DataFrame,
    history: pd.DataFrame | None = None,
    metric: str = "train_accuracy",
    by: Literal["mean", "seed"] = "mean",
) -> go.Figure:
    """The curves figure.

    Args:
        source: an info, or a frame; with a frame, `history` is needed.
        history: as of `get_curves_info`.
        metric: as of `get_curves_info`.
        by: as of `get_curves_info`.
    """
    if isinstance(source, CurvesInfo):
        info = source
    else:
        if history is None:
            raise ValueError("history = None: a frame alone has no curves; give load_history(location), too")
        info = get_curves_info(source, history, metric, by)
    num_panels = len(info.panels)
    plot_px = num_panels * (_PANEL_PX + _GAP_PX) - _GAP_PX
    margin = {"l": 50, "r": 80, "t": 60, "b": 50}
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
    for index, panel in enumerate(info.panels):
        suffix = "" if index == 0 else str(index + 1)
        is_last = index == num_panels - 1
        top_px = plot_px - index * (_PANEL_PX + _GAP_PX)
        domain = [max((top_px - _PANEL_PX) / plot_px, 0.0), top_px / plot_px]
        figure.update_layout(
            {
                f"xaxis{suffix}": theme.axis(
                    "step (training, then pruning)" if is_last else "",
                    anchor=f"y{suffix}",
                    matches=None if index == 0 else "x",
                    rangemode="tozero",
                ),
                f"yaxis{suffix}": theme.axis("", anchor=f"x{suffix}", domain=domain, range=y_range, nticks=5),
            }
        )
        for curve in panel.curves:
            _add_curve(figure, panel, curve, suffix, colors, dashes)
        _add_panel_notes(figure, panel, info, suffix, y_range)
    return figure


def _add_curve(
    figure: go.Figure,
    panel: CurvesPanel,
    curve: Curve,
    suffix: str,
    colors: dict[float, str],
    dashes: dict[float, str],
) -> None:
    name = "parent" if curve.sparsity is None else f"S = {sparsity_label(curve.sparsity)}"
    who = f"n = {curve.num_cells}" if curve.seed is None else f"seed {curve.seed}"
    steps, values = list(curve.steps), list(curve.values)
    if curve.sparsity is not None and (start := _warm_start(panel, curve)) is not None:
        steps, values = [start[0], *steps], [start[1], *values]
    figure.add_trace(
        go.Scatter(
            x=steps,
            y=values,
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
            "step %{x}<br>%{y:.3f}<extra></extra>",
        )
    )


def _warm_start(panel: CurvesPanel, curve: Curve) -> tuple[int, float] | None:
    """Last point of the parent's curve, from which the child's line is drawn."""
    for parent in panel.curves:
        if parent.sparsity is None and parent.seed == curve.seed and parent.steps:
            return parent.steps[-1], parent.values[-1]
    return None


def _add_panel_notes(
    figure: go.Figure, panel: CurvesPanel, info: CurvesInfo, suffix: str, y_range: list[float]
) -> None:
    figure.add_annotation(
        text=f"<b>p = {panel.randomization:g}</b>: {CURVE_METRICS[info.metric]}",
        x=0,
        y=1,
        xref=f"x{suffix} domain",
        yref=f"y{suffix} domain",
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        yshift=3,
    )
    if panel.parent_steps:
        figure.add_shape(
            type="line",
            x0=panel.parent_steps,
            x1=panel.parent_steps,
            y0=0,
            y1=1,
            xref=f"x{suffix}",
            yref=f"y{suffix} domain",
            line={"color": theme.MUTED, "width": 1, "dash": "dot"},
        )
    # With one curve a cell the seeds of a sparsity end at different heights; their mean carries the label.
    ends: dict[float, list[tuple[int, float]]] = {}
    for curve in panel.curves:
        if curve.sparsity is not None and curve.steps:
            ends.setdefault(curve.sparsity, []).append((curve.steps[-1], curve.values[-1]))
    low, high = y_range[0], y_range[1]
    heights = theme.spread(
        [sum(value for _, value in some) / len(some) for some in ends.values()],
        0.105 * (high - low),
        low,
        high,
    )
    for (sparsity, some), height in zip(ends.items(), heights, strict=True):
        place = {"xref": f"x{suffix}", "yref": f"y{suffix}"}
        text = f"S = {sparsity_label(sparsity)}"
        figure.add_annotation(theme.end_label(text, max(step for step, _ in some), height, **place))
