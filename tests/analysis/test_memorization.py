from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.memorization import (
    denoising,
    forgetting_selectivity,
    memorization_score,
    number_of_classes,
    with_memorization,
)
from analysis.results import rows_to_frame


@pytest.mark.parametrize(
    ("accuracy", "num_classes", "score"),
    [
        (0.1, 10, 0.0),  # chance
        (1.0, 10, 1.0),
        (0.55, 10, 0.5),  # .45 / .9
        (0.0, 10, -1 / 9),
        (0.75, 2, 0.5),  # .25 / .5
    ],
)
def test_memorization_score(accuracy: float, num_classes: int, score: float) -> None:
    assert memorization_score(accuracy, num_classes) == pytest.approx(score, abs=1e-12)


def test_forgetting_selectivity_is_above_zero_where_random_labels_go_first() -> None:
    # (1 - .4) - (.98 - .9) = .52, and with the two exchanged the opposite
    first = forgetting_selectivity(dense_redrawn=1.0, redrawn=0.4, dense_kept=0.98, kept=0.9)
    assert first == pytest.approx(0.52)
    other = forgetting_selectivity(dense_redrawn=0.98, redrawn=0.9, dense_kept=1.0, kept=0.4)
    assert other == pytest.approx(-0.52)


def test_denoising() -> None:
    assert denoising(dense_true=0.09, true=0.7) == pytest.approx(0.61)


def row(cell_id: str, p: float, **values: object) -> dict[str, object]:
    is_dense = cell_id.startswith("train")
    return {
        "cell_id": cell_id,
        "phase": "train" if is_dense else "prune",
        "status": "done",
        "dataset": "digits",
        "randomization": p,
        "seed": 42,
        "sparsity_target": None if is_dense else 0.9,
    } | values


def test_columns_compare_with_the_own_parent_and_stay_missing_where_there_is_no_such_example() -> None:
    frame = rows_to_frame(
        [
            row("train-0", 0.0, accuracy_kept=1.0),
            row("prune-0", 0.0, parent_id="train-0", accuracy_kept=0.8),
            row("train-5", 0.5, accuracy_kept=0.98, accuracy_redrawn=1.0, accuracy_true=0.09),
            row(
                "prune-5",
                0.5,
                parent_id="train-5",
                accuracy_kept=0.9,
                accuracy_redrawn=0.4,
                accuracy_true=0.7,
            ),
            row("train-1", 1.0, accuracy_redrawn=1.0, accuracy_true=0.1),
            row("prune-1", 1.0, parent_id="train-1", accuracy_redrawn=0.55, accuracy_true=0.15),
            row("orphan", 0.5, parent_id="elsewhere", accuracy_kept=0.9, accuracy_redrawn=1.0),
        ]
    )
    found = with_memorization(frame, 10).set_index("cell_id")
    nan = math.nan
    expected = pd.DataFrame(
        {
            "memorization_score": [nan, nan, 1.0, 1 / 3, 1.0, 0.5, 1.0],
            "forgetting_selectivity": [nan, nan, 0.0, 0.52, nan, nan, nan],
            "denoising": [nan, nan, 0.0, 0.61, 0.0, 0.05, nan],
        },
        index=found.index,
    )
    pd.testing.assert_frame_equal(found[list(expected)], expected)


def test_an_unfinished_parent_gives_no_difference() -> None:
    frame = rows_to_frame(
        [
            row("train-5", 0.5, status="running", accuracy_kept=0.98, accuracy_redrawn=1.0),
            row("prune-5", 0.5, parent_id="train-5", accuracy_kept=0.9, accuracy_redrawn=0.4),
        ]
    )
    assert with_memorization(frame, 10)["forgetting_selectivity"].isna().all()


def test_without_a_number_of_classes_there_is_no_score_but_the_differences() -> None:
    frame = rows_to_frame([row("train-1", 1.0, accuracy_redrawn=1.0, accuracy_true=0.1)])
    found = with_memorization(frame, math.nan)
    assert math.isnan(found["memorization_score"].iloc[0])
    assert found["denoising"].iloc[0] == 0


def test_number_of_classes() -> None:
    assert number_of_classes(rows_to_frame([row("train-0", 0.0)])) == 10
    assert math.isnan(number_of_classes(rows_to_frame([row("train-0", 0.0, dataset="mine")])))
    assert math.isnan(number_of_classes(rows_to_frame([])))
    both = [row("train-0", 0.0), row("train-1", 1.0, dataset="mine")]
    assert math.isnan(number_of_classes(rows_to_frame(both)))
