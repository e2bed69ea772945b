"""One quantity of every cell against sparsity: seeds as dots, means as lines, t-intervals as bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import panels, theme
from analysis.figures.panels import Panel
from analysis.grid import GridCell, GridSummary, summarize

PANEL_PX = 210


class QuantityPanel(NamedTuple):
    """One quantity over the grid.

    Attributes:
        title: what is drawn, e.g. `accuracy on kept labels`.
        summary: its values, means and intervals by randomization and sparsity.
        reference: value to compare with, drawn as a dotted line; None for no such line.
        value_range: that the quantity can have; None where it is not bounded. Bands are cut to it.
    """

    title: str
    summary: GridSummary
    reference: float | None
    value_range: tuple[float, float] | None

    @property
    def has_values(self) -> bool:
        """Whether any cell has a value."""
        return any(cell.values for cell in self.summary.cells)

    @property
    def undefined(self) -> tuple[float, ...]:
        """Randomizations with finished cells of which none has a value."""
        return tuple(
            randomization
            for randomization, cells in self.summary.rows
            if any(cell.num_done for cell in cells) and not any(cell.values for cell in cells)
        )


def summarize_quantity(
    frame: pd.DataFrame,
    values: pd.Series[float],
    *,
    title: str,
    reference: float | None = None,
    value_range: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> QuantityPanel:
    """A quantity of every cell over the grid, counted as the accuracies are.

    Args:
        frame: as of `analysis.results.load`.
        values: one a row of the frame; NaN where the cell has none.
        title: see `QuantityPanel`.
        reference: see `QuantityPanel`.
        value_range: see `QuantityPanel`.
        confidence: of the t-intervals, (0, 1).
    """
    # `summarize` knows a few columns by name; any of them may carry the quantity.
    summary = summarize(frame.assign(train_accuracy=values), "train_accuracy", confidence)
    return QuantityPanel(title, summary._replace(metric=title), reference, value_range)


def what_is_undefined(quantities: Sequence[QuantityPanel]) -> str:
    """Sentence on the randomizations at which a quantity is not defined; empty where there are none."""
    parts = [
        f"{quantity.title} at p = {', '.join(f'{level:g}' for level in quantity.undefined)}"
        for quantity in quantities
        if quantity.undefined
    ]
    return f"Not defined: {'; '.join(parts)}." if parts else ""


def closed_bands(
    points: Sequence[tuple[float, float | None, float | None]], value_range: tuple[float, float] | None = None
) -> tuple[list[float | None], list[float | None]]:
    """Closed polygons around intervals (x, low, high), as x and y with None between two polygons.

    A point without bounds ends a polygon. Bounds are cut to `value_range`.
    """
    lowest, highest = value_range or (float("-inf"), float("inf"))
    runs: list[list[tuple[float, float, float]]] = [[]]
    for x, low, high in points:
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


def draw_panel(figure: go.Figure, panel: Panel, quantity: QuantityPanel, *, is_last: bool) -> None:
    """Draw one quantity into a panel of a figure: one line per randomization, over target sparsity."""
    summary = quantity.summary
    ticks = {_x(sparsity): sparsity for sparsity in summary.sparsities}
    places = sorted(ticks)
    labels = ["0<br>dense" if ticks[x] is None else f"{x:g}" for x in places]
    reach = max(max(places, default=0.0), 0.1)
    panels.set_axes(
        figure,
        panel,
        theme.axis(
            "target sparsity S" if is_last else "",
            tickvals=places,
            ticktext=theme.staggered(labels, places),
            range=[-0.03 * reach, 1.03 * reach],
            tickangle=0,
        ),
        theme.axis("", range=y_range(quantity), nticks=6),
    )
    figure.add_annotation(panels.title(quantity.title, panel))
    if not quantity.has_values:
        figure.add_annotation(panels.inner_note("no finished cell has this", panel))
        return
    if quantity.reference is not None:
        figure.add_shape(panels.level_line(quantity.reference, panel))
    ends = []
    for (randomization, cells), style in zip(
        summary.rows, theme.level_styles(len(summary.randomizations)), strict=True
    ):
        asked = [cell for cell in cells if cell.num_seeds]
        figure.add_traces(_line_traces(asked, style, panel, quantity))
        if present := [cell for cell in asked if cell.interval.mean is not None]:
            ends.append(
                (f"p = {randomization:g}", _x(present[-1].sparsity), present[-1].interval.mean or 0.0)
            )
    low, high = y_range(quantity)
    heights = theme.spread([mean for _, _, mean in ends], 0.09 * (high - low), low, high)
    for (text, x, _), height in zip(ends, heights, strict=True):
        figure.add_annotation(theme.end_label(text, x, height, **panel.refs))


def _x(sparsity: float | None) -> float:
    return 0.0 if sparsity is None else sparsity


def y_range(quantity: QuantityPanel) -> list[float]:
    """Range of the axis of a quantity: all that is drawn, with some room."""
    if quantity.value_range == (0.0, 1.0):
        return [-0.03, 1.04]
    drawn = [value.value for cell in quantity.summary.cells for value in cell.values]
    drawn += [] if quantity.reference is None else [quantity.reference]
    for cell in quantity.summary.cells:
        if cell.interval.low is not None and cell.interval.high is not None:
            drawn += [cell.interval.low, cell.interval.high]
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    if quantity.value_range is not None:
        low, high = max(low, quantity.value_range[0]), min(high, quantity.value_range[1])
    room = 0.06 * (high - low) or 0.5 * abs(high) or 0.1
    return [low - room, high + room]


def _line_traces(
    cells: Sequence[GridCell], style: theme.LevelStyle, panel: Panel, quantity: QuantityPanel
) -> list[go.Scatter]:
    name = f"p = {cells[0].randomization:g}" if cells else ""
    points = [(_x(cell.sparsity), cell.interval.low, cell.interval.high) for cell in cells]
    band_x, band_y = closed_bands(points, quantity.value_range)
    dots = [(cell, value) for cell in cells for value in cell.values]
    band = go.Scatter(
        x=band_x,
        y=band_y,
        fill="toself",
        fillcolor=theme.translucent(style.color, 0.16),
        line={"width": 0.5, "color": theme.translucent(style.color, 0.5)},
        mode="lines",
        hoverinfo="skip",
        name=f"interval, {name}",
        **panel.axes,
    )
    mean = go.Scatter(
        x=[_x(cell.sparsity) for cell in cells],
        y=[cell.interval.mean for cell in cells],
        mode="lines",
        connectgaps=False,
        line={"color": style.color, "width": 2.5},
        name=f"mean, {name}",
        text=[hover_of_mean(cell, quantity) for cell in cells],
        hovertemplate="%{text}<extra></extra>",
        **panel.axes,
    )
    seeds = go.Scatter(
        x=[_x(cell.sparsity) for cell, _ in dots],
        y=[value.value for _, value in dots],
        mode="markers",
        marker={
            "color": style.color,
            "symbol": style.symbol,
            "size": 7,
            "line": {"color": theme.PAPER, "width": 1},
        },
        name=f"seeds, {name}",
        text=[
            f"{name}, S = {_x(cell.sparsity):g}, seed {value.seed}<br>{quantity.title}: {value.value:.4f}"
            for cell, value in dots
        ],
        hovertemplate="%{text}<extra></extra>",
        **panel.axes,
    )
    return [band, mean, seeds] if band_x else [mean, seeds]


def hover_of_mean(cell: GridCell, quantity: QuantityPanel) -> str:
    """What is told of a mean under the pointer."""
    interval = cell.interval
    mean = "none" if interval.mean is None else f"{interval.mean:.4f}"
    bounds = ""
    if interval.low is not None:
        bounds = f"<br>{quantity.summary.confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f}"
    state = f" ({cell.unfinished})" if cell.unfinished else ""
    return (
        f"p = {cell.randomization:g}, S = {_x(cell.sparsity):g}<br>{quantity.title}: mean {mean}{bounds}"
        f"<br>n = {interval.n} of {cell.num_seeds}{state}"
    )


def plot_quantities(quantities: Sequence[QuantityPanel], nothing: str) -> go.Figure:
    """One panel per quantity; only the sentence `nothing` where no cell has any of them."""
    if not any(quantity.has_values for quantity in quantities):
        return theme.note(theme.new_figure(height=160), nothing)
    figure, places = panels.stack_panels([PANEL_PX] * len(quantities), gaps_px=78)
    for place, quantity in zip(places, quantities, strict=True):
        draw_panel(figure, place, quantity, is_last=place is places[-1])
    return figure
