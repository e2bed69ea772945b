"""What is left of memorized labels under pruning: accuracies by kind of label, and scores made from them."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.level_lines import (
    QuantityPanel,
    plot_quantities,
    summarize_quantity,
    what_is_undefined,
)
from analysis.grid import summarize, what_is_left_out
from analysis.memorization import number_of_classes, with_memorization

Kind = Literal["accuracies", "scores"]

_NOTHING = "No finished cell has accuracies by kind of label yet."


class MemorizationInfo(NamedTuple):
    """What the memorization figure shows.

    Attributes:
        kind: `accuracies` on kept and redrawn labels and against the true ones; or the `scores` memorization,
            forgetting selectivity and denoising.
        num_classes: K; None where it is not known, and then there is no memorization score.
        panels: one a quantity.
        left_out: sentence on n and on what is missing.
    """

    kind: Kind
    num_classes: int | None
    panels: tuple[QuantityPanel, ...]
    left_out: str


def get_memorization_info(
    frame: pd.DataFrame,
    kind: Kind = "accuracies",
    *,
    num_classes: int | None = None,
    confidence: float = 0.95,
) -> MemorizationInfo:
    """Accuracies by kind of label, or scores, of every cell.

    Args:
        frame: as of `analysis.results.load`.
        kind: see `MemorizationInfo`.
        num_classes: K; None looks it up by the data set's name.
        confidence: of the t-intervals, (0, 1).

    Raises:
        ValueError: unknown kind.
    """
    known = number_of_classes(frame) if num_classes is None else float(num_classes)
    chance = None if math.isnan(known) else 1 / known
    if kind == "accuracies":
        source = frame
        chosen: list[tuple[str, str, float | None, tuple[float, float]]] = [
            ("accuracy_kept", "accuracy on kept labels", chance, (0.0, 1.0)),
            ("accuracy_redrawn", "accuracy on redrawn labels", chance, (0.0, 1.0)),
            ("accuracy_true", "redrawn examples: accuracy on true label", chance, (0.0, 1.0)),
        ]
    elif kind == "scores":
        source = with_memorization(frame, known)
        lowest_score = -1.0 if math.isnan(known) or known < 2 else -1 / (known - 1)
        chosen = [
            ("memorization_score", "memorization score", 0.0, (lowest_score, 1.0)),
            ("forgetting_selectivity", "forgetting selectivity F(S)", 0.0, (-1.0, 1.0)),
            ("denoising", "denoising: gain on true labels", 0.0, (-1.0, 1.0)),
        ]
    else:
        raise ValueError(f"kind = {kind!r}: must be accuracies or scores")
    shown = tuple(
        summarize_quantity(
            frame,
            source[column],
            title=title,
            reference=reference,
            value_range=value_range,
            confidence=confidence,
        )
        for column, title, reference, value_range in chosen
    )
    return MemorizationInfo(
        kind, None if math.isnan(known) else int(known), shown, what_is_left_out(summarize(frame))
    )


def caption(info: MemorizationInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not any(panel.has_values for panel in info.panels):
        return _NOTHING
    if info.kind == "accuracies":
        chance = "" if info.num_classes is None else f" Dotted: chance, 1/{info.num_classes}."
        words = (
            "Training accuracy on examples whose label was kept (top) and redrawn (middle), and on redrawn "
            f"examples against the label that they had before (bottom).{chance}"
        )
    else:
        score = f"(A - 1/K)/(1 - 1/K) with K = {info.num_classes}"
        if info.num_classes is None:
            score = "not shown, since the number of classes K is not known (give num_classes)"
        words = (
            f"Top: memorization score of the redrawn labels, {score}: 0 by chance, 1 for all. Middle: "
            "accuracy lost on redrawn labels minus accuracy lost on kept ones, both against the cell's own "
            "parent; above 0 random labels are forgotten first. Bottom: accuracy of redrawn examples "
            "against the true label, minus the parent's. Dotted: 0."
        )
    confidence = info.panels[0].summary.confidence
    text = (
        f"{words} One line per randomization p. Dots: single seeds; lines: means; bands: {confidence:.0%} "
        "t-intervals, cut to the possible range, none where fewer than two seeds are finished. "
        f"{info.left_out} {what_is_undefined(info.panels)}"
    )
    return text.rstrip()


def plot_memorization(source: MemorizationInfo | pd.DataFrame, kind: Kind = "accuracies") -> go.Figure:
    """The memorization figure.

    Args:
        source: an info, or a frame from which it is made.
        kind: where a frame is given.
    """
    info = source if isinstance(source, MemorizationInfo) else get_memorization_info(source, kind)
    return plot_quantities(info.panels, _NOTHING)
