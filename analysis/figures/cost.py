"""What the sweep cost: time a step, time a cell, device time in all, attempts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.attempts import AttemptLog
from analysis.device_time import KindTime, RetryCounts, count_retries, time_by_kind
from analysis.figures import level_lines, panels, theme
from analysis.figures.level_lines import QuantityPanel, summarize_quantity
from analysis.figures.panels import Panel
from analysis.grid import summarize, what_is_left_out

_BAR_PX = 26
_NOTHING = "No finished cell has a time yet."


class CostInfo(NamedTuple):
    """What the cost figure shows.

    Attributes:
        step_milliseconds: wall time a step, over the grid.
        cell_time: wall time a cell, over the grid, in `unit`.
        unit: of `cell_time`: `seconds`, `minutes` or `hours`.
        kinds: device time by kind of cell.
        retries: attempts; None where no log was given.
        left_out: sentence on n and on what is missing.
    """

    step_milliseconds: QuantityPanel
    cell_time: QuantityPanel
    unit: str
    kinds: tuple[KindTime, ...]
    retries: RetryCounts | None
    left_out: str

    @property
    def device_seconds(self) -> float:
        """Of all finished cells."""
        return sum(kind.device_seconds for kind in self.kinds)


def get_cost_info(frame: pd.DataFrame, log: AttemptLog | None = None, confidence: float = 0.95) -> CostInfo:
    """The cost of the finished cells.

    Args:
        frame: as of `analysis.results.load`.
        log: as of `analysis.attempts.load_attempts`; without it retries are not told.
        confidence: of the t-intervals, (0, 1).
    """
    seconds = frame["wall_seconds"]
    longest = float(seconds.max()) if seconds.notna().any() else 0.0
    unit, unit_seconds = time_unit(longest)
    steps = frame["steps"].astype("float64")
    return CostInfo(
        step_milliseconds=summarize_quantity(
            frame,
            1000 * seconds / steps,
            title="milliseconds a step",
            reference=0.0,
            value_range=(0.0, math.inf),
            confidence=confidence,
        ),
        cell_time=summarize_quantity(
            frame,
            seconds / unit_seconds,
            title=f"{unit} a cell",
            reference=0.0,
            value_range=(0.0, math.inf),
            confidence=confidence,
        ),
        unit=unit,
        kinds=time_by_kind(frame),
        retries=None if log is None else count_retries(log),
        left_out=what_is_left_out(summarize(frame)),
    )


def time_unit(seconds: float) -> tuple[str, float]:
    """Name and length in seconds of the unit that suits a time."""
    if seconds <= 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds <= 5 * 3600 else ("hours", 3600.0)


def time_text(seconds: float) -> str:
    """A time in the unit that suits it, e.g. `2.5 min`."""
    unit, unit_seconds = time_unit(seconds)
    return f"{seconds / unit_seconds:,.1f} {({'seconds': 's', 'minutes': 'min', 'hours': 'h'})[unit]}"


def caption(info: CostInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.kinds:
        return _NOTHING
    num_cells = sum(kind.num_cells for kind in info.kinds)
    parts = [
        "Wall time a step (evaluation and checkpoints included) and a cell, by target sparsity and "
        "randomization p; at 0 the trainings. Dots: single seeds; lines: means; bands: "
        f"{info.cell_time.summary.confidence:.0%} t-intervals, cut at 0. Below: device time in all, by kind "
        f"of cell, {time_text(info.device_seconds)} for n = {num_cells} finished cells.",
        info.left_out,
    ]
    if info.retries is not None and info.retries.num_cells_by_attempts:
        retries = info.retries
        parts.append(
            f"{retries.num_retries} retries; of all attempts {retries.num_failed} failed and "
            f"{retries.num_lost} ended unrecorded. The time of attempts without a result is in the cells' "
            "only as far as they left a checkpoint."
        )
    return " ".join(parts)


def plot_cost(source: CostInfo | pd.DataFrame, log: AttemptLog | None = None) -> go.Figure:
    """The cost figure.

    Args:
        source: an info, or a frame from which it is made.
        log: where a frame is given, as of `get_cost_info`.
    """
    info = source if isinstance(source, CostInfo) else get_cost_info(source, log)
    if not info.kinds:
        return theme.note(theme.new_figure(height=160), _NOTHING)
    bars = [
        (
            f"device time in all: {time_text(info.device_seconds)}",
            ["training" if kind.sparsity is None else f"S = {kind.sparsity:g}" for kind in info.kinds],
            [kind.device_seconds / info.device_seconds for kind in info.kinds],
            [f"{time_text(kind.device_seconds)}, n = {kind.num_cells}" for kind in info.kinds],
        )
    ]
    if info.retries is not None and info.retries.num_cells_by_attempts:
        counts = info.retries.num_cells_by_attempts
        most = max(num_cells for _, num_cells in counts)
        bars.append(
            (
                "cells by number of attempts",
                [f"{attempts} attempt{'s' * (attempts > 1)}" for attempts, _ in counts],
                [num_cells / most for _, num_cells in counts],
                [f"{num_cells} cell{'s' * (num_cells > 1)}" for _, num_cells in counts],
            )
        )
    heights = [
        level_lines.PANEL_PX,
        level_lines.PANEL_PX,
        *(_BAR_PX * len(labels) for _, labels, _, _ in bars),
    ]
    figure, places = panels.stack_panels(heights, [78, 104, 44][: len(heights) - 1], l=78, b=20)
    level_lines.draw_panel(figure, places[0], info.step_milliseconds, is_last=False)
    level_lines.draw_panel(figure, places[1], info.cell_time, is_last=True)
    for place, (title, labels, lengths, texts) in zip(places[2:], bars, strict=True):
        _draw_bars(figure, place, title, labels, lengths, texts)
    return figure


def _draw_bars(
    figure: go.Figure,
    place: Panel,
    title: str,
    labels: Sequence[str],
    lengths: Sequence[float],
    texts: Sequence[str],
) -> None:
    """Horizontal bars, each with its number beside it; lengths are parts of the longest or of the whole."""
    rows = list(range(len(labels)))
    figure.add_trace(
        go.Bar(
            x=list(lengths),
            y=rows,
            orientation="h",
            marker={"color": theme.MUTED},
            width=0.7,
            text=list(texts),
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
            name=title,
            **place.axes,
        )
    )
    # Room for the numbers beside the longest bar, also on a narrow page.
    panels.set_axes(
        figure,
        place,
        theme.axis("", range=[0, 1.75 * max(lengths)], visible=False),
        theme.axis(
            "",
            tickvals=rows,
            ticktext=list(labels),
            range=[len(labels) - 0.5, -0.5],
            showgrid=False,
            ticks="",
        ),
    )
    figure.add_annotation(panels.title(title, place))
    for row, length, text in zip(rows, lengths, texts, strict=True):
        figure.add_annotation(
            text=text,
            x=length,
            y=row,
            showarrow=False,
            xanchor="left",
            xshift=5,
            font={"size": 12},
            **place.refs,
        )
