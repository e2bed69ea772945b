"""The compressibility threshold s* against randomization: seeds, censored ones as arrows, and the median."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.censored_median import CensoredMedian, censored_median
from analysis.figures import panels, theme
from analysis.figures.panels import Panel
from analysis.statistics import Threshold, compressibility_threshold

Censoring = Literal["none", "left", "right", "missing"]

_PANEL_PX = 280
# Part of the distance between two randomizations over which the seeds of one are spread.
_SEEDS_WIDTH = 0.66
_SYMBOLS = {"none": "circle", "left": "arrow-down", "right": "arrow-up", "missing": "circle-open"}


class ThresholdLevel(NamedTuple):
    """Thresholds of one randomization.

    Attributes:
        randomization: level.
        thresholds: by seed.
        median: of the known ones.
        mean: None unless every threshold is known and none is censored.
    """

    randomization: float
    thresholds: tuple[Threshold, ...]
    median: CensoredMedian
    mean: float | None


class ThresholdPanel(NamedTuple):
    """Thresholds by one definition: accuracy at least `level`, or `level` times the parent's."""

    relative_to_parent: bool
    levels: tuple[ThresholdLevel, ...]


class ThresholdInfo(NamedTuple):
    """What the threshold figure shows.

    Attributes:
        level: of the definitions, (0, 1].
        tested: sparsities of the grid, ascending.
        panels: by absolute and by relative accuracy.
    """

    level: float
    tested: tuple[float, ...]
    panels: tuple[ThresholdPanel, ...]


def get_threshold_info(frame: pd.DataFrame, level: float = 0.99) -> ThresholdInfo:
    """The thresholds of every parent, by both definitions.

    Args:
        frame: as of `analysis.results.load`.
        level: training accuracy to reach, in itself and as a part of the parent's; (0, 1].
    """
    tested = tuple(sorted(float(sparsity) for sparsity in frame["sparsity_target"].dropna().unique()))
    shown = []
    for relative in (False, True):
        found = compressibility_threshold(frame, level, relative_to_parent=relative)
        by_level: dict[float, list[Threshold]] = {}
        for threshold in found:
            by_level.setdefault(threshold.randomization, []).append(threshold)
        levels = tuple(_level(randomization, some) for randomization, some in by_level.items())
        shown.append(ThresholdPanel(relative, levels))
    return ThresholdInfo(level, tested, tuple(shown))


def _level(randomization: float, thresholds: Sequence[Threshold]) -> ThresholdLevel:
    values = [
        found.sparsity for found in thresholds if found.censoring == "none" and found.sparsity is not None
    ]
    mean = math.fsum(values) / len(values) if values and len(values) == len(thresholds) else None
    return ThresholdLevel(randomization, tuple(thresholds), censored_median(thresholds), mean)


def definition(panel: ThresholdPanel, level: float) -> str:
    """The panel's definition in a few words."""
    return f"s*: accuracy ≥ {level:g}{' of the parent’s' if panel.relative_to_parent else ''}"


def caption(info: ThresholdInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.tested:
        return "The sweep has no pruning: there is no threshold."
    kinds = [
        found.censoring for panel in info.panels[:1] for level in panel.levels for found in level.thresholds
    ]
    counts = [
        f"{kinds.count(kind)} {word}"
        for kind, word in (
            ("none", "in the grid"),
            ("left", "below it"),
            ("right", "at its end or above"),
            ("missing", "open, for an unfinished cell stands before the first failure"),
        )
        if kind in kinds
    ]
    return (
        "Compressibility threshold s* by randomization p: the largest tested sparsity such that it and all "
        f"lower ones, the dense parent included, reach a training accuracy of {info.level:g} (top), or "
        f"{info.level:g} of the parent's (bottom). Dots: single seeds. Arrows down: the parent or the "
        "lowest sparsity fails, s* is below the grid; arrows up: every tested sparsity passes, s* is there "
        "or above; open circles: at least so much, the rest is unfinished. Bars: median over the known "
        f"seeds, the lower one of two; dotted: mean, where no seed is censored. n = {len(kinds)} thresholds "
        f"(top): {', '.join(counts)}."
    )


def plot_threshold(source: ThresholdInfo | pd.DataFrame, level: float = 0.99) -> go.Figure:
    """The threshold figure.

    Args:
        source: an info, or a frame from which it is made.
        level: where a frame is given.
    """
    info = source if isinstance(source, ThresholdInfo) else get_threshold_info(source, level)
    known = [
        found
        for panel in info.panels
        for shown in panel.levels
        for found in shown.thresholds
        if found.censoring != "missing" or found.sparsity is not None
    ]
    if not known:
        return theme.note(theme.new_figure(height=160), "No threshold is known yet.")
    figure, places = panels.stack_panels([_PANEL_PX] * len(info.panels), gaps_px=78, r=24)
    for place, panel in zip(places, info.panels, strict=True):
        _draw(figure, place, panel, info, is_last=place is places[-1])
    return figure


def _draw(
    figure: go.Figure, place: Panel, panel: ThresholdPanel, info: ThresholdInfo, *, is_last: bool
) -> None:
    lowest, highest = info.tested[0], info.tested[-1]
    below = lowest - max(0.15 * (highest - lowest), 0.05)
    ticks = _readable_ticks(info.tested)
    panels.set_axes(
        figure,
        place,
        theme.axis(
            "randomization p" if is_last else "",
            tickvals=list(range(len(panel.levels))),
            ticktext=[f"{level.randomization:g}" for level in panel.levels],
            range=[-0.6, len(panel.levels) - 0.4],
            showgrid=False,
        ),
        theme.axis(
            "",
            tickvals=[below, *ticks],
            ticktext=[f"< {lowest:g}", *(f"{sparsity:g}" for sparsity in ticks)],
            range=[below - 0.5 * (lowest - below), highest + 0.36 * (highest - below)],
        ),
    )
    figure.add_annotation(panels.title(definition(panel, info.level), place))
    # An arrow's tip lies at its place: this one begins at the highest sparsity.
    above = highest + 0.07 * (highest - below)
    for index, (level, style) in enumerate(
        zip(panel.levels, theme.level_styles(len(panel.levels)), strict=True)
    ):
        figure.add_traces(_level_traces(level, index, style, (below, above), place))
        figure.add_annotation(
            {
                "text": median_text(level, lowest),
                "x": index,
                "y": 1,
                "yref": f"y{place.suffix} domain",
                "xref": f"x{place.suffix}",
                "yanchor": "top",
                "showarrow": False,
                "font": {"size": 12, "color": theme.INK},
            }
        )


def threshold_text(censoring: Censoring, sparsity: float | None, lowest: float) -> str:
    """s* as text: `0.7`, `< 0.5` (left-censored), `≥ 0.9` (right-censored), `? (≥ 0.5)` or `?`.

    Args:
        censoring: of a threshold or a median of some.
        sparsity: of the same.
        lowest: tested sparsity.
    """
    if censoring == "left":
        return f"< {lowest:g}"
    if sparsity is None:
        return "?"
    at_least = f"≥ {sparsity:g}"
    return {"none": f"{sparsity:g}", "right": at_least, "missing": f"? ({at_least})"}[censoring]


def median_text(level: ThresholdLevel, lowest: float) -> str:
    """Three lines: what it is, the median, censored or not, and n."""
    median, num_seeds = level.median, len(level.thresholds)
    value = threshold_text(median.censoring, median.sparsity, lowest)
    count = f"n = {median.n}" if median.n == num_seeds else f"{median.n} of {num_seeds}"
    return f"median<br><b>{value}</b><br>{count}"


def _readable_ticks(tested: Sequence[float]) -> list[float]:
    """Tested sparsities whose labels do not overlap, from the lowest on."""
    span = max(tested[-1] - tested[0], 1e-9)
    ticks: list[float] = []
    for sparsity in tested:
        if not ticks or sparsity - ticks[-1] >= 0.075 * span:
            ticks.append(sparsity)
    return ticks


def _y(sparsity: float | None, below: float) -> float:
    return below if sparsity is None else sparsity


def _level_traces(
    level: ThresholdLevel, index: int, style: theme.LevelStyle, ends: tuple[float, float], place: Panel
) -> list[Any]:
    below, above = ends
    drawn = [
        (number, found)
        for number, found in enumerate(level.thresholds)
        if found.censoring != "missing" or found.sparsity is not None
    ]
    num_seeds = len(level.thresholds)
    marks = go.Scatter(
        x=[index + _SEEDS_WIDTH * ((number + 0.5) / num_seeds - 0.5) for number, _ in drawn],
        y=[above if found.censoring == "right" else _y(found.sparsity, below) for _, found in drawn],
        mode="markers",
        marker={
            "color": style.color,
            "opacity": 1,
            "symbol": [
                style.symbol if found.censoring == "none" else _SYMBOLS[found.censoring] for _, found in drawn
            ],
            "size": [9 if found.censoring in ("none", "missing") else 12 for _, found in drawn],
            "line": {"color": style.color, "width": 1.5},
        },
        text=[_hover(found) for _, found in drawn],
        hovertemplate="%{text}<extra></extra>",
        name=f"seeds, p = {level.randomization:g}",
        **place.axes,
    )
    traces: list[Any] = [marks]
    bars: list[tuple[str, float | None, str]] = [("mean", level.mean, "dot")]
    if level.median.censoring != "missing":
        bars.append(("median", _y(level.median.sparsity, below), "solid"))
    for name, y, dash in bars:
        if y is not None:
            traces.append(
                go.Scatter(
                    x=[index - 0.36, index + 0.36],
                    y=[y, y],
                    mode="lines",
                    line={"color": theme.INK, "width": 2, "dash": dash},
                    hovertemplate=f"p = {level.randomization:g}, {name}<extra></extra>",
                    name=f"{name}, p = {level.randomization:g}",
                    **place.axes,
                )
            )
    return traces


def _hover(found: Threshold) -> str:
    text = {
        "none": f"s* = {found.sparsity}, first failure at {found.first_failure}",
        "left": "the parent fails" if found.first_failure == 0 else f"fails at {found.first_failure} already",
        "right": f"s* ≥ {found.sparsity}: every tested sparsity passes",
        "missing": f"s* ≥ {found.sparsity}: unfinished",
    }[found.censoring]
    return f"p = {found.randomization:g}, seed {found.seed}<br>{text}"
