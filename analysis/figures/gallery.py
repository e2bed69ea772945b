"""Figures by the name that `rcsweep figure` knows them by, besides those of `analysis.images`.

Everything is imported when a figure is drawn, so that help answers without pandas and plotly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from rc_core.storage import Storage


def _threshold(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.threshold import plot_threshold
    from analysis.results import load

    return plot_threshold(load(location))


def _surgery(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.surgery import choose_parent, plot_surgery
    from analysis.layers import load_layers
    from analysis.results import load, load_history

    frame = load(location)
    cell_ids = frame.loc[
        (frame["status"] == "done") & (frame["parent_id"] == choose_parent(frame)), "cell_id"
    ]
    return plot_surgery(frame, load_history(location, cell_ids), load_layers(location, cell_ids))


def _gap(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.gap import plot_gap
    from analysis.results import load

    return plot_gap(load(location))


def _memorization(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.memorization import plot_memorization
    from analysis.results import load

    return plot_memorization(load(location), "accuracies")


def _forgetting(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.memorization import plot_memorization
    from analysis.results import load

    return plot_memorization(load(location), "scores")


def _cost(location: str | Path | Storage) -> go.Figure:
    from analysis.attempts import load_attempts
    from analysis.figures.cost import plot_cost
    from analysis.results import load

    return plot_cost(load(location), load_attempts(location))


def _published(location: str | Path | Storage) -> go.Figure:
    from analysis.figures.published_table import plot_published_table
    from analysis.results import load

    return plot_published_table(load(location))


GALLERY: dict[str, Callable[[str | Path | Storage], go.Figure]] = {
    "threshold": _threshold,
    "surgery": _surgery,
    "gap": _gap,
    "memorization": _memorization,
    "forgetting": _forgetting,
    "cost": _cost,
    "published": _published,
}
