"""The grid as data: what every randomization x sparsity point has to show, over its seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from analysis.statistics import Interval, mean_interval

# Metrics that tables and figures can show, with the words for an axis or a caption.
METRICS: dict[str, str] = {
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "accuracy_kept": "training accuracy on kept labels",
    "accuracy_redrawn": "training accuracy on redrawn labels",
    "accuracy_true": "accuracy on redrawn examples against the true label",
}
# These are over a part of the training examples that is empty at one end of the randomizations.
_METRICS_OF_SUBSETS = ("accuracy_kept", "accuracy_redrawn", "accuracy_true")


class SeedValue(NamedTuple):
    """One finished cell.

    Attributes:
        seed: of the cell.
        value: the metric.
        achieved_sparsity: masked / prunable weights at the end; 0 for a dense network, None where unknown.
    """

    seed: int
    value: float
    achieved_sparsity: float | None


class GridCell(NamedTuple):
    """One point of the grid over its seeds. Unfinished cells are counted, never dropped.

    Attributes:
        randomization: level.
        sparsity: target; None is the dense parent.
        values: finished cells with a value, by seed; a cell may lack one (no label is redrawn at p = 0).
        interval: mean and t-interval of the values.
        num_seeds: cells asked for; 0 where the grid does not have this point.
        num_done: finished.
        num_running: being computed.
        num_failed: failed, or never started because the parent failed.
        num_missing: not started.
    """

    randomization: float
    sparsity: float | None
    values: tuple[SeedValue, ...]
    interval: Interval
    num_seeds: int
    num_done: int
    num_running: int
    num_failed: int
    num_missing: int

    @property
    def unfinished(self) -> str:
        """What is not finished, in words: `1 failed, 2 missing`; empty where all is."""
        counts = (("failed", self.num_failed), ("running", self.num_running), ("missing", self.num_missing))
        return ", ".join(f"{count} {word}" for word, count in counts if count)


class GridSummary(NamedTuple):
    """One metric over the grid.

    Attributes:
        metric: a key of `METRICS`.
        confidence: of the intervals.
        randomizations: ascending.
        sparsities: ascending, the dense parent (None) first.
        cells: every combination, row by row (randomization by randomization).
    """

    metric: str
    confidence: float
    randomizations: tuple[float, ...]
    sparsities: tuple[float | None, ...]
    cells: tuple[GridCell, ...]

    @property
    def rows(self) -> list[tuple[float, tuple[GridCell, ...]]]:
        """(randomization, its cells by sparsity), ascending."""
        width = len(self.sparsities)
        return [
            (randomization, self.cells[index * width : (index + 1) * width])
            for index, randomization in enumerate(self.randomizations)
        ]

    @property
    def num_seeds(self) -> int:
        """Most seeds of any point."""
        return max((cell.num_seeds for cell in self.cells), default=0)


def summarize(frame: pd.DataFrame, metric: str = "train_accuracy", confidence: float = 0.95) -> GridSummary:
    """One metric over the grid of an experiment.

    Args:
        frame: as of `analysis.results.load`.
        metric: a key of `METRICS`.
        confidence: of the t-intervals, (0, 1).

    Raises:
        ValueError: unknown metric.
    """
    if metric not in METRICS:
        raise ValueError(f"metric = {metric!r}: must be one of {', '.join(METRICS)}")
    values: dict[tuple[float, float | None], list[SeedValue]] = {}
    statuses: dict[tuple[float, float | None], list[str]] = {}
    columns = ["randomization", "phase", "sparsity_target", "sparsity", "seed", "status", metric]
    for randomization, phase, target, achieved, seed, status, value in frame[columns].itertuples(
        index=False, name=None
    ):
        is_dense = phase == "train"
        key = (float(randomization), None if is_dense else float(target))
        statuses.setdefault(key, []).append(status)
        if status == "done" and not math.isnan(value):
            actual = 0.0 if is_dense else None if math.isnan(achieved) else float(achieved)
            values.setdefault(key, []).append(SeedValue(int(seed), float(value), actual))
    randomizations = tuple(sorted({randomization for randomization, _ in statuses}))
    sparsities = tuple(sorted({sparsity for _, sparsity in statuses}, key=lambda s: -1.0 if s is None else s))
    cells = []
    for randomization in randomizations:
        for sparsity in sparsities:
            there = sorted(values.get((randomization, sparsity), []))
            states = statuses.get((randomization, sparsity), [])
            cells.append(
                GridCell(
                    randomization=randomization,
                    sparsity=sparsity,
                    values=tuple(there),
                    interval=mean_interval((value.value for value in there), confidence),
                    num_seeds=len(states),
                    num_done=states.count("done"),
                    num_running=states.count("running"),
                    num_failed=states.count("failed") + states.count("parent-failed"),
                    num_missing=states.count("missing"),
                )
            )
    return GridSummary(metric, confidence, randomizations, sparsities, tuple(cells))


def sparsity_label(sparsity: float | None) -> str:
    """`dense` or the target in as few digits as it has."""
    return "dense" if sparsity is None else f"{sparsity:g}"


def what_is_left_out(summary: GridSummary) -> str:
    """One sentence on n and on everything that the summary lacks, for captions."""
    cells = [cell for cell in summary.cells if cell.num_seeds]
    if not cells:
        return "The sweep has no cell yet."
    num_cells = sum(cell.num_seeds for cell in cells)
    num_done = sum(cell.num_done for cell in cells)
    counts = sorted({cell.num_seeds for cell in cells})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    plural = "seed" if counts[-1] == 1 else "seeds"
    sentence = f"n = {seeds} {plural} a point; {num_done} of {num_cells} cells finished"
    num_failed = sum(cell.num_failed for cell in cells)
    num_running = sum(cell.num_running for cell in cells)
    num_missing = sum(cell.num_missing for cell in cells)
    parts = [("failed", num_failed), ("running", num_running), ("missing", num_missing)]
    left = ", ".join(f"{count} {word}" for word, count in parts if count)
    note = "; means are over the finished ones" if num_done else ""
    sentence += f" ({left}{note})." if left else "."
    undefined: list[float] = []
    if summary.metric in _METRICS_OF_SUBSETS:
        with_values = {cell.randomization for cell in cells if cell.interval.n}
        undefined = sorted({cell.randomization for cell in cells if cell.num_done} - with_values)
    if undefined:
        levels = ", ".join(f"{randomization:g}" for randomization in undefined)
        sentence += f" Not defined for p = {levels}: there is no such example."
    num_without = sum(
        cell.num_done - cell.interval.n for cell in cells if cell.randomization not in undefined
    )
    if num_without:
        sentence += f" {num_without} finished cells have no {METRICS[summary.metric]} (not a number)."
    return sentence
