"""The generalization gap."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind
from analysis.exhibits.quantity_rows import quantity_table
from analysis.experiment_data import ExperimentData
from analysis.figures.gap import caption, get_gap_info, plot_gap

LABELS = Control("labels", "Test labels", (("true", "true"), ("noisy", "as if randomized, too")))


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """Against which labels the test error is taken."""
    return (LABELS,)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The gap of an experiment."""
    info = get_gap_info(data.frame, "noisy" if choices["labels"] == "noisy" else "true")
    return Exhibit(plot_gap(info), caption(info), quantity_table("generalization gap", [info.gap]))


GAP = ExhibitKind(name="gap", title="Generalization gap", controls=controls, draw=draw)
