"""Rows of intervals, one point of the grid each, grouped by randomization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from analysis.figures import theme
from analysis.grid import sparsity_label
from analysis.statistics import Interval

_ROW_PX = 24


class IntervalRow(NamedTuple):
    """One point of the grid.

    Attributes:
        randomization: level; rows of one level stand together.
        sparsity: target; None is the dense parent.
        seeds: of `values`.
        values: one a seed.
        interval: mean and t-interval of the values.
        num_seeds: asked for.
        reference: a single value to compare with, or None.
        remark: said in the row where it has no value.
        hover: text under the pointer.
    """

    randomization: float
    sparsity: float | None
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    interval: Interval
    num_seeds: int
    reference: float | None
    remark: str
    hover: str


def plot_rows(
    rows: Sequence[IntervalRow], x_title: str, *, zero_line: bool, value_range: tuple[float, float] | None
) -> go.Figure:
    """The rows, top to bottom in their order, with a heading at every new randomization.

    Args:
        rows: at least one.
        x_title: of the common axis.
        zero_line: a line at 0, for differences.
        value_range: of the axis; None fits it to what is drawn.
    """
    levels = sorted({row.randomization for row in rows})
    styles = dict(zip(levels, theme.level_styles(len(levels)), strict=True))
    places, headings = _places(rows)
    num_lines = places[-1] + 1
    figure = theme.new_figure(
        height=round(num_lines * _ROW_PX) + 34 + 54, margin={"l": 66, "r": 66, "t": 34, "b": 54}
    )
    low, high = value_range or _fitted(rows, zero_line)
    figure.update_xaxes(theme.axis(x_title, range=[low, high], nticks=7))
    figure.update_yaxes(
        theme.axis(
            "",
            tickvals=places,
            ticktext=[
                sparsity_label(row.sparsity) if row.sparsity is None else f"S = {row.sparsity:g}"
                for row in rows
            ],
            range=[num_lines - 0.4, -0.4],
            showgrid=False,
        )
    )
    shapes: list[dict[str, Any]] = [_stripe(place) for place in places[::2]]
    if zero_line:
        line = {"color": theme.INK, "width": 1}
        shapes.append(
            {
                "type": "line",
                "x0": 0,
                "x1": 0,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": line,
                "layer": "below",
            }
        )
    figure.update_layout(shapes=shapes)
    figure.add_traces(_traces(rows, places, styles))
    figure.update_layout(
        annotations=[
            *(_heading(place, randomization) for place, randomization in headings),
            *(_count(row, place) for row, place in zip(rows, places, strict=True)),
            *(_remark(row, place) for row, place in zip(rows, places, strict=True) if not row.values),
        ]
    )
    return figure


def _places(rows: Sequence[IntervalRow]) -> tuple[list[float], list[tuple[float, float]]]:
    """Place of every row on the vertical axis, and (place, randomization) of every heading."""
    places: list[float] = []
    headings: list[tuple[float, float]] = []
    place = 0.0
    for index, row in enumerate(rows):
        if index == 0 or row.randomization != rows[index - 1].randomization:
            headings.append((place, row.randomization))
            place += 1.0
        places.append(place)
        place += 1.0
    return places, headings


def _fitted(rows: Sequence[IntervalRow], zero_line: bool) -> tuple[float, float]:
    drawn = [value for row in rows for value in row.values]
    drawn += [
        bound
        for row in rows
        for bound in (row.interval.low, row.interval.high, row.reference)
        if bound is not None
    ]
    drawn += [0.0] if zero_line else []
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    room = 0.05 * (high - low) or 0.1
    return low - room, high + room


def _traces(
    rows: Sequence[IntervalRow], places: Sequence[float], styles: dict[float, theme.LevelStyle]
) -> list[go.Scatter]:
    placed = list(zip(rows, places, strict=True))
    means = [(row, place) for row, place in placed if row.interval.mean is not None]
    seeds = [
        (row, place, seed, value)
        for row, place in placed
        for seed, value in zip(row.seeds, row.values, strict=True)
    ]
    references = [(row, place) for row, place in placed if row.reference is not None]
    half_widths = [row.interval.half_width for row, _ in means]
    return [
        go.Scatter(
            x=[value for _, _, _, value in seeds],
            y=[place for _, place, _, _ in seeds],
            mode="markers",
            marker={
                "color": theme.MUTED,
                "symbol": "line-ns",
                "size": 9,
                "line": {"color": theme.MUTED, "width": 1.5},
            },
            text=[f"{row.hover}<br>seed {seed}: {value:.4f}" for row, _, seed, value in seeds],
            hovertemplate="%{text}<extra></extra>",
            name="seeds",
        ),
        go.Scatter(
            x=[row.interval.mean for row, _ in means],
            y=[place for _, place in means],
            error_x={
                "type": "data",
                "array": [0.0 if half is None else half for half in half_widths],
                "color": theme.INK,
                "thickness": 1.5,
                "width": 0,
            },
            mode="markers",
            marker={
                "color": [styles[row.randomization].color for row, _ in means],
                "symbol": [styles[row.randomization].symbol for row, _ in means],
                "size": 10,
                "line": {"color": theme.PAPER, "width": 1},
            },
            text=[row.hover for row, _ in means],
            hovertemplate="%{text}<extra></extra>",
            name="mean",
        ),
        go.Scatter(
            x=[row.reference for row, _ in references],
            y=[place for _, place in references],
            mode="markers",
            marker={"color": theme.BAD, "symbol": "diamond-tall-open", "size": 13, "line": {"width": 2}},
            text=[row.hover for row, _ in references],
            hovertemplate="%{text}<extra></extra>",
            name="reference",
        ),
    ]


def _stripe(place: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "y0": place - 0.5,
        "y1": place + 0.5,
        "fillcolor": theme.SOFT,
        "line": {"width": 0},
        "layer": "below",
    }


def _heading(place: float, randomization: float) -> dict[str, Any]:
    return {
        "text": f"<b>p = {randomization:g}</b>",
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 4,
        "y": place,
        "showarrow": False,
    }


def _count(row: IntervalRow, place: float) -> dict[str, Any]:
    count = f"n = {row.interval.n}"
    return {
        "text": count if row.interval.n == row.num_seeds else f"{row.interval.n} of {row.num_seeds}",
        "x": 1,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 6,
        "y": place,
        "showarrow": False,
        "font": {"size": 12, "color": theme.INK},
    }


def _remark(row: IntervalRow, place: float) -> dict[str, Any]:
    return {
        "text": row.remark,
        "x": 0.5,
        "xref": "paper",
        "y": place,
        "showarrow": False,
        "font": {"size": 12, "color": theme.MUTED},
    }
