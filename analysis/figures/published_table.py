"""The published training accuracies against ours, point by point."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis import published
from analysis.figures import theme
from analysis.figures.interval_rows import IntervalRow, plot_rows
from analysis.grid import GridCell, summarize


class PublishedCell(NamedTuple):
    """One point of the grid that the published table has, too.

    Attributes:
        published: training accuracy of `analysis.published`, one run.
        ours: values, mean and interval.
    """

    published: float
    ours: GridCell


class PublishedTableInfo(NamedTuple):
    """What the figure shows.

    Attributes:
        recipes: of the sweep.
        confidence: of the intervals.
        cells: by randomization and sparsity.
        num_published: points of the published table.
        num_only_ours: pruned points of our grid that the published table lacks.
    """

    recipes: tuple[str, ...]
    confidence: float
    cells: tuple[PublishedCell, ...]
    num_published: int
    num_only_ours: int

    @property
    def repeats_the_paper(self) -> bool:
        """Whether every cell was run with the paper's recipe, so that the numbers may be compared."""
        return self.recipes == (published.RECIPE,)


def get_published_table_info(frame: pd.DataFrame, confidence: float = 0.95) -> PublishedTableInfo:
    """The published points that the sweep's grid has, with our accuracies.

    Args:
        frame: as of `analysis.results.load`.
        confidence: of the t-intervals, (0, 1).
    """
    summary = summarize(frame, "train_accuracy", confidence)
    table: dict[tuple[float, float | None], float] = {
        (randomization, sparsity): accuracy
        for randomization, by_sparsity in published.TRAIN_ACCURACY.items()
        for sparsity, accuracy in by_sparsity.items()
    }
    pruned = [cell for cell in summary.cells if cell.sparsity is not None and cell.num_seeds]
    cells = tuple(
        PublishedCell(found, cell)
        for cell in pruned
        if (found := published.TRAIN_ACCURACY.get(cell.randomization, {}).get(cell.sparsity or 0.0))
        is not None
    )
    return PublishedTableInfo(
        recipes=tuple(sorted(set(frame["recipe"].dropna()))),
        confidence=confidence,
        cells=cells,
        num_published=len(table),
        num_only_ours=len(pruned) - len(cells),
    )


def caption(info: PublishedTableInfo) -> str:
    """What is drawn, n, what is missing, and how far the two may be compared."""
    recipes = ", ".join(info.recipes) or "none"
    if not info.cells:
        return f"The sweep's grid has none of the {info.num_published} published points."
    how_far = "The recipe is the paper's: the numbers may be compared."
    if not info.repeats_the_paper:
        how_far = (
            f"The recipe is {recipes}, not {published.RECIPE}: data, network and schedule differ, so only "
            "the order and the shape may be compared, not the numbers."
        )
    num_seeds = sum(cell.ours.num_seeds for cell in info.cells)
    num_done = sum(cell.ours.num_done for cell in info.cells)
    return (
        f"Training accuracy after pruning, published (open diamonds, n = {published.NUM_SEEDS} run) and "
        f"ours (ticks: single seeds; filled: mean; bars: {info.confidence:.0%} t-interval, cut at the axis, "
        f"none where fewer than two seeds are finished). {how_far} Shown are the {len(info.cells)} of "
        f"{info.num_published} published points that the grid has; {num_done} of their {num_seeds} cells "
        f"are finished; {info.num_only_ours} points of the grid are not published. Published: "
        f"{published.SOURCE}."
    )


def plot_published_table(source: PublishedTableInfo | pd.DataFrame) -> go.Figure:
    """The published accuracies and ours.

    Args:
        source: an info, or a frame from which it is made.
    """
    info = source if isinstance(source, PublishedTableInfo) else get_published_table_info(source)
    if not info.cells:
        return theme.note(theme.new_figure(height=160), "The grid has no point of the published table.")
    figure = plot_rows(
        [_row(cell) for cell in info.cells],
        "training accuracy: ◇ published, filled ours",
        zero_line=False,
        value_range=(-0.03, 1.04),
    )
    if not info.repeats_the_paper:
        ours = ", ".join(info.recipes) or "?"
        figure.add_annotation(
            text=f"recipe {ours}, not {published.RECIPE}: compare order, not numbers",
            x=0,
            y=1,
            xref="paper",
            yref="paper",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            xshift=-58,
            font={"size": 13, "color": theme.WARN},
        )
    return figure


def _row(cell: PublishedCell) -> IntervalRow:
    ours = cell.ours
    mean = "none" if ours.interval.mean is None else f"{ours.interval.mean:.4f}"
    bounds = "" if ours.interval.low is None else f" ({ours.interval.low:.4f} to {ours.interval.high:.4f})"
    state = f" ({ours.unfinished})" if ours.unfinished else ""
    return IntervalRow(
        randomization=ours.randomization,
        sparsity=ours.sparsity,
        seeds=tuple(value.seed for value in ours.values),
        values=tuple(value.value for value in ours.values),
        interval=ours.interval,
        num_seeds=ours.num_seeds,
        reference=cell.published,
        remark=ours.unfinished or "not a number",
        hover=(
            f"p = {ours.randomization:g}, S = {ours.sparsity or 0:g}<br>published {cell.published:.4f}"
            f"<br>ours: mean {mean}{bounds}<br>n = {ours.interval.n} of {ours.num_seeds}{state}"
        ),
    )
