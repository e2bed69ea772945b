"""One quantity of every cell against sparsity: seeds as dots, means as lines, t-intervals as bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import panels, theme
from analysis.figures.panels import Panel
from analysis.figures.seed_lines import LinePoint, end_labels, last_mean, line_traces
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
        theme.axis("", range=y_range(quantity), nticks=8),
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
        points = [line_point(cell) for cell in cells if cell.num_seeds]
        figure.add_traces(
            line_traces(
                randomization,
                points,
                style,
                quantity=quantity.title,
                confidence=summary.confidence,
                value_range=quantity.value_range,
                dot_px=7,
                axes=panel.axes,
            )
        )
        if end := last_mean(randomization, points):
            ends.append(end)
    low, high = y_range(quantity)
    end_notes, leaders = end_labels(ends, max(places), 0.08 * (high - low), low, high, panel.refs)
    figure.update_layout(
        annotations=[*figure.layout.annotations, *end_notes], shapes=[*figure.layout.shapes, *leaders]
    )


def line_point(cell: GridCell) -> LinePoint:
    """A point of the grid as it stands on a line."""
    place = _x(cell.sparsity)
    return LinePoint(cell.sparsity, place, cell.values, cell.interval, cell.num_seeds, cell.unfinished)


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


def plot_quantities(quantities: Sequence[QuantityPanel], nothing: str) -> go.Figure:
    """One panel per quantity; only the sentence `nothing` where no cell has any of them."""
    if not any(quantity.has_values for quantity in quantities):
        return theme.note(theme.new_figure(height=160), nothing)
    figure, places = panels.stack_panels([PANEL_PX] * len(quantities), gaps_px=78)
    for place, quantity in zip(places, quantities, strict=True):
        draw_panel(figure, place, quantity, is_last=place is places[-1])
    return figure
