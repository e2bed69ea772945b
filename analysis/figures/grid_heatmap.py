"""The grid at a glance: the mean at randomization x sparsity with n of N; what is unfinished is marked."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import theme
from analysis.grid import METRICS, GridCell, GridSummary, sparsity_label, summarize, what_is_left_out

GridHeatmapInfo = GridSummary

_NOTHING = "The sweep has no cell yet."


def get_grid_heatmap_info(
    frame: pd.DataFrame, metric: str = "train_accuracy", confidence: float = 0.95
) -> GridHeatmapInfo:
    """The grid of an experiment; arguments as of `analysis.grid.summarize`."""
    return summarize(frame, metric, confidence)


def caption(info: GridHeatmapInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.cells:
        return _NOTHING
    failed, running, missing = (theme.STATUSES[status].icon for status in ("failed", "running", "missing"))
    return (
        f"Mean {METRICS[info.metric]} at every point of the grid, ± half the width of the "
        f"{info.confidence:.0%} t-interval, and n finished of N seeds. Hatched: no cell finished yet; "
        f"crossed: failed; dotted: no such point or value. {failed} failed, {running} running, {missing} "
        f"missing. {what_is_left_out(info)}"
    )


def plot_grid_heatmap(
    source: GridHeatmapInfo | pd.DataFrame, metric: str = "train_accuracy", confidence: float = 0.95
) -> go.Figure:
    """The heatmap; arguments as of `analysis.figures.tradeoff.plot_tradeoff`."""
    info = source if isinstance(source, GridSummary) else get_grid_heatmap_info(source, metric, confidence)
    num_rows, num_columns = len(info.randomizations), len(info.sparsities)
    figure = theme.new_figure(height=108 + 66 * max(num_rows, 1), margin={"l": 60, "r": 20, "t": 34, "b": 50})
    if not info.cells:
        return theme.note(figure, _NOTHING)
    figure.add_trace(
        go.Heatmap(
            z=[[cell.interval.mean for cell in cells] for _, cells in info.rows],
            x=list(range(num_columns)),
            y=list(range(num_rows)),
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            xgap=3,
            ygap=3,
            text=[[_hover(cell, info.metric) for cell in cells] for _, cells in info.rows],
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=True,
            showscale=False,  # every square says its number
        )
    )
    # All at once: plotly checks every earlier annotation again for each one that is added.
    squares = [
        (cell, column, row) for row, (_, cells) in enumerate(info.rows) for column, cell in enumerate(cells)
    ]
    figure.add_traces([_pattern(*square) for square in squares if square[0].interval.mean is None])
    size_px = next(size for size, most in ((12, 9), (10, 13), (9, math.inf)) if num_columns <= most)
    figure.update_layout(annotations=[_text(*square, size_px) for square in squares])
    figure.update_xaxes(
        theme.axis(
            "target sparsity",
            tickvals=list(range(num_columns)),
            ticktext=[sparsity_label(sparsity) for sparsity in info.sparsities],
            range=[-0.5, num_columns - 0.5],
            showgrid=False,
            tickangle=0,
        )
    )
    figure.update_yaxes(
        theme.axis(
            "randomization p",
            tickvals=list(range(num_rows)),
            ticktext=[f"{randomization:g}" for randomization in info.randomizations],
            range=[num_rows - 0.5, -0.5],
            showgrid=False,
        )
    )
    return figure


def cell_text(cell: GridCell) -> str:
    """Lines in one square of the heatmap; an unfinished point says what it is."""
    if cell.num_seeds == 0:
        return "not in<br>the grid"
    if cell.num_done and cell.interval.n == 0:
        return "not<br>defined"
    lines = [] if cell.interval.mean is None else [f"<b>{cell.interval.mean:.3f}</b>"]
    if cell.interval.half_width is not None:
        lines.append(f"±{cell.interval.half_width:.3f}")
    states = _unfinished(cell)
    if cell.num_done:
        icons = "".join(f" {theme.STATUSES[status].icon}" for status, _ in states)
        lines.append(f"n = {cell.num_done}/{cell.num_seeds}{icons}")
    for status, count in [] if cell.num_done else states:
        style = theme.STATUSES[status]
        lines.append(f"{style.icon} {count}")
        if len(states) < 3:  # the words of three would not fit; the icons and the pointer tell them
            lines.append(style.word)
    return "<br>".join(lines)


def _unfinished(cell: GridCell) -> list[tuple[str, int]]:
    """(status, number of cells) of what is not finished; keys of `theme.STATUSES`."""
    counts = (("failed", cell.num_failed), ("running", cell.num_running), ("missing", cell.num_missing))
    return [(status, count) for status, count in counts if count]


def _hover(cell: GridCell, metric: str) -> str:
    text = f"p = {cell.randomization:g}, S = {sparsity_label(cell.sparsity)}<br>"
    text += f"{cell.num_done} of {cell.num_seeds} seeds finished"
    text += f" ({cell.unfinished})" if cell.unfinished else ""
    if cell.interval.mean is not None:
        text += f"<br>mean {METRICS[metric]} {cell.interval.mean:.4f}"
        text += "".join(f"<br>seed {value.seed}: {value.value:.4f}" for value in cell.values)
    return text


def _pattern(cell: GridCell, column: int, row: int) -> go.Scatter:
    """Hatching over a square without a mean; heatmaps and shapes know no patterns, filled polygons do."""
    left, right, top, bottom = column - 0.47, column + 0.47, row - 0.47, row + 0.47
    pattern = {"shape": "/", "size": 9, "solidity": 0.2}
    if cell.num_failed:
        pattern = {"shape": "x", "size": 11, "solidity": 0.25}
    elif cell.num_seeds == 0 or cell.num_done:
        pattern = {"shape": ".", "size": 9, "solidity": 0.1}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[top, top, bottom, bottom, top],
        mode="lines",
        fill="toself",
        fillpattern=pattern | {"fgcolor": theme.HATCH, "bgcolor": theme.SOFT},
        line={"color": theme.HATCH, "width": 1},
        hoverinfo="skip",
    )


def _text(cell: GridCell, column: int, row: int, size_px: int) -> dict[str, Any]:
    mean = cell.interval.mean
    states = _unfinished(cell)
    if mean is not None:
        color = theme.text_color_on(theme.sequential_color(mean))
    else:
        color = theme.STATUSES[states[0][0]].color if len(states) == 1 and not cell.num_done else theme.INK
    return {
        "x": column,
        "y": row,
        "text": cell_text(cell),
        "showarrow": False,
        "font": {"size": size_px, "color": color},
        "bgcolor": theme.SOFT if mean is None else None,
        "borderpad": 1,
    }
