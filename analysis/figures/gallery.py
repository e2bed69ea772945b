"""Every figure by the name that `rcsweep figure` knows it by, drawn from an experiment's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go

from analysis.attempts import load_attempts
from analysis.figures import FIGURE_NAMES
from analysis.figures.cost import plot_cost
from analysis.figures.curves import plot_curves
from analysis.figures.gap import plot_gap
from analysis.figures.grid_heatmap import plot_grid_heatmap
from analysis.figures.memorization import plot_memorization
from analysis.figures.published_table import plot_published_table
from analysis.figures.slots import plot_slots
from analysis.figures.surgery import choose_parent, plot_surgery
from analysis.figures.threshold import plot_threshold
from analysis.figures.tradeoff import plot_tradeoff
from analysis.layers import load_layers
from analysis.results import load, load_history
from rc_core.storage import Storage

Location = str | Path | Storage


def _surgery(location: Location) -> go.Figure:
    frame = load(location)
    is_shown = (frame["status"] == "done") & (frame["parent_id"] == choose_parent(frame))
    cell_ids = frame.loc[is_shown, "cell_id"]
    return plot_surgery(frame, load_history(location, cell_ids), load_layers(location, cell_ids))


GALLERY: dict[str, Callable[[Location], go.Figure]] = {
    "tradeoff": lambda location: plot_tradeoff(load(location)),
    "heatmap": lambda location: plot_grid_heatmap(load(location)),
    "curves": lambda location: plot_curves(load(location), load_history(location)),
    "slots": lambda location: plot_slots(load_attempts(location)),
    "threshold": lambda location: plot_threshold(load(location)),
    "surgery": _surgery,
    "gap": lambda location: plot_gap(load(location)),
    "memorization": lambda location: plot_memorization(load(location), "accuracies"),
    "forgetting": lambda location: plot_memorization(load(location), "scores"),
    "cost": lambda location: plot_cost(load(location), load_attempts(location)),
    "published": lambda location: plot_published_table(load(location)),
}
assert tuple(GALLERY) == FIGURE_NAMES
