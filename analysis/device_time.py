"""What a sweep cost: device time by kind of cell, and attempts that cells took."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pandas as pd

from analysis.attempts import AttemptLog


class KindTime(NamedTuple):
    """Device time of the finished cells of one kind.

    Attributes:
        sparsity: target; None for trainings.
        num_cells: finished ones.
        device_seconds: in sum, of the cells' own time.
    """

    sparsity: float | None
    num_cells: int
    device_seconds: float


class RetryCounts(NamedTuple):
    """Attempts of the cells.

    Attributes:
        num_cells_by_attempts: (attempts, cells that took so many so far), ascending; only cells with recorded
            attempts.
        num_failed: attempts that failed.
        num_lost: attempts of which nobody recorded the end.
    """

    num_cells_by_attempts: tuple[tuple[int, int], ...]
    num_failed: int
    num_lost: int

    @property
    def num_retries(self) -> int:
        """Attempts after a cell's first."""
        return sum((attempts - 1) * num_cells for attempts, num_cells in self.num_cells_by_attempts)


def time_by_kind(frame: pd.DataFrame) -> tuple[KindTime, ...]:
    """Device time of finished cells by target sparsity, trainings first.

    Args:
        frame: as of `analysis.results.load`.
    """
    done = frame[(frame["status"] == "done") & frame["wall_seconds"].notna()]
    is_training = done["phase"] == "train"
    kinds = []
    if is_training.any():
        trained = done.loc[is_training, "wall_seconds"]
        kinds.append(KindTime(None, len(trained), float(trained.sum())))
    pruned = done[~is_training]
    for sparsity in sorted(float(level) for level in pruned["sparsity_target"].dropna().unique()):
        seconds = pruned.loc[pruned["sparsity_target"] == sparsity, "wall_seconds"]
        kinds.append(KindTime(sparsity, len(seconds), float(seconds.sum())))
    return tuple(kinds)


def count_retries(log: AttemptLog) -> RetryCounts:
    """How many attempts the cells took.

    Args:
        log: as of `analysis.attempts.load_attempts`.
    """
    by_cell = Counter(attempt.cell_id for attempt in log.attempts)
    outcomes = Counter(attempt.outcome for attempt in log.attempts)
    return RetryCounts(tuple(sorted(Counter(by_cell.values()).items())), outcomes["failed"], outcomes["lost"])
