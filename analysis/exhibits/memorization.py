"""What is left of memorized labels: accuracies by kind of label, and scores made from them."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Exhibit, ExhibitKind, no_controls
from analysis.exhibits.quantity_rows import quantity_table
from analysis.experiment_data import ExperimentData
from analysis.figures.memorization import Kind, caption, get_memorization_info, plot_memorization


def draw_accuracies(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """Accuracies on kept and redrawn labels and against the true ones."""
    return _draw(data, "accuracies", "accuracies by kind of label")


def draw_scores(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """Memorization, forgetting selectivity and denoising."""
    return _draw(data, "scores", "memorization, forgetting and denoising")


def _draw(data: ExperimentData, kind: Kind, label: str) -> Exhibit:
    info = get_memorization_info(data.frame, kind)
    return Exhibit(plot_memorization(info), caption(info), quantity_table(label, info.panels))


MEMORIZATION = ExhibitKind(
    name="memorization", title="Kept, redrawn and true labels", controls=no_controls, draw=draw_accuracies
)
FORGETTING = ExhibitKind(
    name="forgetting", title="What is forgotten first", controls=no_controls, draw=draw_scores
)
