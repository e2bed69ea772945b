"""Memorization and forgetting of random labels, computed from accuracies that every cell records.

Of an example, c says whether its label was redrawn, y is the true label, z the one trained on, h the
prediction:

    A_clean = acc(h = z | c = 0)    column accuracy_kept        no such example at p = 1
    A_mem   = acc(h = z | c = 1)    column accuracy_redrawn     no such example at p = 0
    A_true  = acc(h = y | c = 1)    column accuracy_true        no such example at p = 0

Every formula takes numbers or Series of them; NaN (no such example, cell not finished) stays NaN.
"""

from __future__ import annotations

import math
from typing import TypeVar

import pandas as pd

from rc_core.dataset_info import KNOWN_DATASETS

_Number = TypeVar("_Number", float, "pd.Series[float]")


def memorization_score(accuracy_redrawn: _Number, num_classes: float) -> _Number:
    """Mean memorization of the redrawn labels: (A_mem - 1/K) / (1 - 1/K).

    A network that never saw a redrawn label meets it with probability 1/K, so this is Feldman and Zhang's
    (2020) memorization, averaged over the redrawn examples, without training again: 0 by chance, 1 for all.

    Args:
        accuracy_redrawn: A_mem, 0-1.
        num_classes: K; NaN where it is not known.
    """
    chance = 1 / num_classes
    return (accuracy_redrawn - chance) / (1 - chance)


def forgetting_selectivity(
    *, dense_redrawn: _Number, dense_kept: _Number, redrawn: _Number, kept: _Number
) -> _Number:
    """F(S) = [A_mem(dense) - A_mem(S)] - [A_clean(dense) - A_clean(S)]; above 0, random labels go first.

    Args:
        dense_redrawn: A_mem of the parent, 0-1.
        dense_kept: A_clean of the parent, 0-1.
        redrawn: A_mem of the pruned network, 0-1.
        kept: A_clean of the pruned network, 0-1.
    """
    return (dense_redrawn - redrawn) - (dense_kept - kept)


def denoising(*, dense_true: _Number, true: _Number) -> _Number:
    """A_true(S) - A_true(dense): true labels found again once the random ones are pruned away.

    Args:
        dense_true: A_true of the parent, 0-1.
        true: A_true of the pruned network, 0-1.
    """
    return true - dense_true


def number_of_classes(frame: pd.DataFrame) -> float:
    """K of the table's data set; NaN where it is not one that ships, or where there are several."""
    found = {
        KNOWN_DATASETS[name].num_classes if name in KNOWN_DATASETS else math.nan
        for name in frame["dataset"].dropna().unique()
    }
    return found.pop() if len(found) == 1 else math.nan


def with_memorization(frame: pd.DataFrame, num_classes: float) -> pd.DataFrame:
    """The result table with the columns `memorization_score`, `forgetting_selectivity` and `denoising`.

    The last two compare with the cell's own parent; of a parent they are 0. Without a finished parent in the
    table they are missing.

    Args:
        frame: as of `analysis.results.load`.
        num_classes: K; NaN where it is not known.
    """
    finished = frame["status"] == "done"
    parents = frame.loc[finished & (frame["phase"] == "train")].set_index("cell_id")
    compared = frame["parent_id"].where(frame["phase"] != "train", frame["cell_id"])

    def of_parent(column: str) -> pd.Series[float]:
        return compared.map(parents[column]).astype("float64")

    return frame.assign(
        memorization_score=memorization_score(frame["accuracy_redrawn"], num_classes),
        forgetting_selectivity=forgetting_selectivity(
            dense_redrawn=of_parent("accuracy_redrawn"),
            dense_kept=of_parent("accuracy_kept"),
            redrawn=frame["accuracy_redrawn"],
            kept=frame["accuracy_kept"],
        ),
        denoising=denoising(dense_true=of_parent("accuracy_true"), true=frame["accuracy_true"]),
    )
