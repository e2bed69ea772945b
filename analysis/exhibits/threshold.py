"""The compressibility threshold s*."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table
from analysis.experiment_data import ExperimentData
from analysis.figures.threshold import (
    ThresholdInfo,
    caption,
    definition,
    get_threshold_info,
    plot_threshold,
    threshold_text,
)

LEVEL = Control("level", "Accuracy to reach", (("0.99", "0.99"), ("0.95", "0.95"), ("0.9", "0.9")))


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """Which accuracy has to be reached."""
    return (LEVEL,)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The thresholds of an experiment, by both definitions."""
    info = get_threshold_info(data.frame, float(choices["level"]))
    num_levels = len(info.panels[0].levels)
    # Each level has its median in words above it.
    return Exhibit(
        plot_threshold(info), caption(info), table(info), min_width_px=max(340, 80 + 46 * num_levels)
    )


def table(info: ThresholdInfo) -> Table:
    """One row a parent and definition, and one with the median of each randomization."""
    rows: list[tuple[object, ...]] = []
    for panel in info.panels if info.tested else ():
        words = definition(panel, info.level)
        for level in panel.levels:
            rows += [
                (
                    words,
                    level.randomization,
                    str(found.seed),
                    threshold_text(found.censoring, found.sparsity, info.tested[0]),
                    found.sparsity,
                    found.first_failure,
                )
                for found in level.thresholds
            ]
            median = level.median
            text = threshold_text(median.censoring, median.sparsity, info.tested[0])
            who = f"median of {median.n} of {len(level.thresholds)}"
            rows.append((words, level.randomization, who, text, median.sparsity, None))
    header = ("definition", "p", "seed", "s*", "passes up to", "first failure")
    return Table("compressibility threshold s*", header, rows, num_label_columns=3)


THRESHOLD = ExhibitKind(name="threshold", title="Compressibility threshold", controls=controls, draw=draw)
