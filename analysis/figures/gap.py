"""The generalization gap: test error minus training error, under pruning and against randomization."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import level_lines, panels, theme
from analysis.figures.level_lines import QuantityPanel, summarize_quantity
from analysis.figures.panels import Panel
from analysis.figures.seed_lines import mean_hover
from analysis.generalization import generalization_gap, noisy_test_error
from analysis.grid import summarize, what_is_left_out
from analysis.memorization import number_of_classes

TestLabels = Literal["true", "noisy"]

_NOTHING = "No finished cell has both errors yet."


class GapInfo(NamedTuple):
    """What the gap figure shows.

    Attributes:
        test_labels: `true`, or `noisy`: the error expected if the test labels were randomized as the training
            labels are.
        num_classes: K, for noisy labels; None where it is not known or not needed.
        gap: over the grid; its dense points are those of the panel against randomization.
        left_out: sentence on n and on what is missing.
    """

    test_labels: TestLabels
    num_classes: int | None
    gap: QuantityPanel
    left_out: str


def get_gap_info(
    frame: pd.DataFrame,
    test_labels: TestLabels = "true",
    *,
    num_classes: int | None = None,
    confidence: float = 0.95,
) -> GapInfo:
    """The gap of every cell.

    Args:
        frame: as of `analysis.results.load`.
        test_labels: see `GapInfo`.
        num_classes: K; None looks it up by the data set's name, where the labels are noisy.
        confidence: of the t-intervals, (0, 1).

    Raises:
        ValueError: unknown `test_labels`.
    """
    if test_labels not in ("true", "noisy"):
        raise ValueError(f"test_labels = {test_labels!r}: must be true or noisy")
    test_error = 1 - frame["test_accuracy"]
    known = math.nan
    if test_labels == "noisy":
        known = number_of_classes(frame) if num_classes is None else float(num_classes)
        test_error = noisy_test_error(test_error, frame["randomization"], known)
    gap = summarize_quantity(
        frame,
        generalization_gap(frame["train_accuracy"], test_error),
        title=f"{'noisy ' if test_labels == 'noisy' else ''}test error − training error",
        reference=0.0,
        value_range=(-1.0, 1.0),
        confidence=confidence,
    )
    return GapInfo(
        test_labels, None if math.isnan(known) else int(known), gap, what_is_left_out(summarize(frame))
    )


def caption(info: GapInfo) -> str:
    """What is drawn, n, and what is missing."""
    if info.test_labels == "noisy" and info.num_classes is None:
        return "The error on noisy test labels needs the number of classes K: not known (give num_classes)."
    if not info.gap.has_values:
        return _NOTHING
    labels = "against the true labels"
    if info.test_labels == "noisy":
        labels = (
            "expected if the test labels were randomized like the training labels, (1 - p) e + p (1 - 1/K) "
            f"with K = {info.num_classes}"
        )
    return (
        f"Generalization gap: test error ({labels}) minus training error (against the labels trained on). "
        "Top: against target sparsity, one line per randomization p. Bottom: dense networks against p. "
        "Dots: single seeds; lines: means; bands (cut to the possible range) and bars: "
        f"{info.gap.summary.confidence:.0%} t-intervals, none where fewer than two seeds are finished. "
        f"{info.left_out}"
    )


def plot_gap(source: GapInfo | pd.DataFrame, test_labels: TestLabels = "true") -> go.Figure:
    """The gap figure.

    Args:
        source: an info, or a frame from which it is made.
        test_labels: where a frame is given, as of `get_gap_info`.
    """
    info = source if isinstance(source, GapInfo) else get_gap_info(source, test_labels)
    if not info.gap.has_values:
        return theme.note(theme.new_figure(height=160), _NOTHING)
    figure, (over_sparsity, over_randomization) = panels.stack_panels([260, 170], gaps_px=104)
    level_lines.draw_panel(figure, over_sparsity, info.gap, is_last=True)
    _draw_dense(figure, over_randomization, info.gap)
    return figure


def _draw_dense(figure: go.Figure, panel: Panel, gap: QuantityPanel) -> None:
    summary = gap.summary
    dense = [cell for cell in summary.cells if cell.sparsity is None and cell.num_seeds]
    levels = [cell.randomization for cell in dense]
    panels.set_axes(
        figure,
        panel,
        theme.axis(
            "randomization p",
            tickvals=levels,
            ticktext=[f"{level:g}" for level in levels],
            range=[-0.05, 1.05],
        ),
        theme.axis("", range=level_lines.y_range(gap), nticks=8),
    )
    figure.add_annotation(panels.title("the same of dense networks", panel))
    if not any(cell.values for cell in dense):
        figure.add_annotation(panels.inner_note("no dense network is finished", panel))
        return
    figure.add_shape(panels.level_line(0.0, panel))
    figure.add_trace(
        go.Scatter(
            x=levels,
            y=[cell.interval.mean for cell in dense],
            mode="lines",
            line={"color": theme.INK, "width": 1.5},
            error_y={
                "type": "data",
                "array": [cell.interval.half_width or 0.0 for cell in dense],
                "color": theme.MUTED,
                "thickness": 1.5,
                "width": 7,
            },
            text=[
                mean_hover(cell.randomization, level_lines.line_point(cell), gap.title, summary.confidence)
                for cell in dense
            ],
            hovertemplate="%{text}<extra></extra>",
            name="mean, dense",
            **panel.axes,
        )
    )
    styles = dict(zip(summary.randomizations, theme.level_styles(len(summary.randomizations)), strict=True))
    for cell in dense:
        style = styles[cell.randomization]
        figure.add_trace(
            go.Scatter(
                x=[cell.randomization for _ in cell.values],
                y=[value.value for value in cell.values],
                mode="markers",
                marker={
                    "color": style.color,
                    "symbol": style.symbol,
                    "size": 8,
                    "line": {"color": theme.PAPER, "width": 1},
                },
                text=[
                    f"p = {cell.randomization:g}, dense, seed {value.seed}<br>{gap.title}: {value.value:.4f}"
                    for value in cell.values
                ],
                hovertemplate="%{text}<extra></extra>",
                name=f"seeds, dense, p = {cell.randomization:g}",
                **panel.axes,
            )
        )
