"""Two sweeps: the mean paired difference at every point of the grid."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from analysis.comparison import Comparison, PairedCell, what_is_compared
from analysis.figures import theme
from analysis.grid import METRICS, sparsity_label

DifferenceGridInfo = Comparison


def caption(info: DifferenceGridInfo) -> str:
    """What is drawn, n, and what is missing."""
    return (
        f"Mean paired difference of {METRICS[info.metric]}, {info.second} minus {info.first}, ± half the "
        f"width of its {info.confidence:.0%} t-interval. ▲ and ▼: the interval lies above, or below, 0 "
        "(every point by itself, without correction for their number). Hatched: no finished pair. "
        f"{what_is_compared(info)}"
    )


def plot_difference_grid(info: DifferenceGridInfo) -> go.Figure:
    """The grid of differences.

    Args:
        info: as of `analysis.comparison.compare`.
    """
    if not info.num_pairs:
        return theme.note(theme.new_figure(height=160), "No pair of cells is finished in both sweeps.")
    randomizations = sorted({cell.randomization for cell in info.cells})
    sparsities = sorted({cell.sparsity for cell in info.cells}, key=lambda s: -1.0 if s is None else s)
    by_place = {(cell.randomization, cell.sparsity): cell for cell in info.cells}
    largest = max(abs(cell.interval.mean) for cell in info.cells if cell.interval.mean is not None) or 1.0
    squares = [
        (by_place.get((randomization, sparsity)), column, row)
        for row, randomization in enumerate(randomizations)
        for column, sparsity in enumerate(sparsities)
    ]
    num_columns = len(sparsities)
    figure = theme.new_figure(
        height=108 + 66 * len(randomizations), margin={"l": 60, "r": 20, "t": 34, "b": 50}
    )
    means = [None if cell is None else cell.interval.mean for cell, _, _ in squares]
    hovers = ["not in both grids" if cell is None else _hover(cell) for cell, _, _ in squares]
    figure.add_trace(
        go.Heatmap(
            z=[means[start : start + num_columns] for start in range(0, len(squares), num_columns)],
            x=list(range(num_columns)),
            y=list(range(len(randomizations))),
            zmin=-largest,
            zmax=largest,
            colorscale=theme.DIVERGING_SCALE,
            xgap=3,
            ygap=3,
            text=[hovers[start : start + num_columns] for start in range(0, len(squares), num_columns)],
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=True,
            name="difference",
            showscale=False,  # every square says its number
        )
    )
    # All at once: plotly checks every earlier trace and annotation again for each one that is added.
    figure.add_traces(
        [
            _hatching(column, row)
            for cell, column, row in squares
            if cell is None or cell.interval.mean is None
        ]
    )
    figure.update_layout(annotations=[_text(cell, column, row, largest) for cell, column, row in squares])
    figure.update_xaxes(
        theme.axis(
            "target sparsity",
            tickvals=list(range(num_columns)),
            ticktext=[sparsity_label(sparsity) for sparsity in sparsities],
            range=[-0.5, num_columns - 0.5],
            showgrid=False,
            tickangle=0,
        )
    )
    figure.update_yaxes(
        theme.axis(
            "randomization p",
            tickvals=list(range(len(randomizations))),
            ticktext=[f"{randomization:g}" for randomization in randomizations],
            range=[len(randomizations) - 0.5, -0.5],
            showgrid=False,
        )
    )
    return figure


def square_text(cell: PairedCell | None) -> str:
    """Lines in one square: signed mean, half width, n with ▲ or ▼ where the interval leaves 0 out."""
    if cell is None:
        return "not in<br>both"
    interval = cell.interval
    if interval.mean is None:
        return f"0 of {cell.num_shared}<br>pairs"
    sign = ""
    if interval.low is not None and interval.high is not None:
        sign = " ▲" if interval.low > 0 else " ▼" if interval.high < 0 else ""
    lines = [f"<b>{interval.mean:+.3f}</b>"]
    if interval.half_width is not None:
        lines.append(f"±{interval.half_width:.3f}")
    count = f"n = {interval.n}"
    lines.append((count if interval.n == cell.num_shared else f"{interval.n} of {cell.num_shared}") + sign)
    return "<br>".join(lines)


def _hover(cell: PairedCell) -> str:
    head = f"p = {cell.randomization:g}, S = {sparsity_label(cell.sparsity)}"
    seeds = "".join(
        f"<br>seed {seed}: {difference:+.4f}"
        for seed, difference in zip(cell.seeds, cell.differences, strict=True)
    )
    return f"{head}<br>{cell.interval.n} of {cell.num_shared} pairs finished{seeds}"


def _hatching(column: int, row: int) -> go.Scatter:
    left, right, top, bottom = column - 0.47, column + 0.47, row - 0.47, row + 0.47
    pattern = {"shape": "/", "size": 9, "solidity": 0.12, "fgcolor": theme.HATCH, "bgcolor": theme.SOFT}
    return go.Scatter(
        x=[left, right, right, left, left],
        y=[top, top, bottom, bottom, top],
        mode="lines",
        fill="toself",
        fillpattern=pattern,
        line={"color": theme.HATCH, "width": 1},
        hoverinfo="skip",
    )


def _text(cell: PairedCell | None, column: int, row: int, largest: float) -> dict[str, Any]:
    mean = None if cell is None else cell.interval.mean
    color = theme.INK
    if mean is not None:
        color = theme.text_color_on(theme.diverging_color(0.5 + 0.5 * mean / largest))
    return {
        "x": column,
        "y": row,
        "text": square_text(cell),
        "showarrow": False,
        "font": {"size": 12, "color": color},
        "bgcolor": theme.SOFT if mean is None else None,
        "borderpad": 1,
    }
