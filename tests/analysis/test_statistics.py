from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.results import load, rows_to_frame
from analysis.statistics import (
    Interval,
    Threshold,
    compressibility_threshold,
    headline_place,
    mean_interval,
    paired_difference,
)
from rc_core.cells import Grid


def frame_of(*cells: tuple[float, int, float | None, float | None]) -> pd.DataFrame:
    """Rows from (randomization, seed, sparsity or None, training accuracy or None for a missing cell)."""
    return rows_to_frame(
        [
            {
                "cell_id": f"{p}-{seed}-{sparsity}",
                "phase": "train" if sparsity is None else "prune",
                "status": "missing" if accuracy is None else "done",
                "randomization": p,
                "seed": seed,
                "sparsity_target": sparsity,
                "train_accuracy": accuracy,
            }
            for p, seed, sparsity, accuracy in cells
        ]
    )


def test_mean_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, s = 1, t(.975, 2) = 4.302653, half width 4.302653 / sqrt(3) = 2.484138.
    interval = mean_interval([1, 2, 3])
    assert interval.n == 3
    assert interval.mean == 2
    assert interval.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert interval.high == pytest.approx(2 + 2.484138, abs=1e-6)
    assert interval.half_width == pytest.approx(2.484138, abs=1e-6)
    # 0, 1: s = sqrt(1/2), t(.975, 1) = 12.706205, half width 12.706205 / 2.
    assert mean_interval([0, 1]).half_width == pytest.approx(6.3531025, abs=1e-6)
    # 90%: t(.95, 2) = 2.919986.
    assert mean_interval([1, 2, 3], 0.9).half_width == pytest.approx(2.919986 / math.sqrt(3), abs=1e-6)


def test_mean_interval_of_few_values_has_no_bounds() -> None:
    assert mean_interval([]) == Interval(None, None, None, 0)
    assert mean_interval([0.25]) == Interval(0.25, None, None, 1)
    assert mean_interval([0.25, math.nan, None]) == Interval(0.25, None, None, 1)
    assert mean_interval([0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 2)
    assert Interval(0.25, None, None, 1).half_width is None


@given(
    st.lists(st.floats(0, 1, width=16), min_size=2, max_size=8).filter(lambda v: len(set(v)) > 1),
    st.floats(0.5, 0.999),
)
def test_mean_interval_agrees_with_scipy(values: list[float], confidence: float) -> None:
    ours = mean_interval(values, confidence)
    theirs = stats.t.interval(
        confidence, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values)
    )
    assert (ours.low, ours.high) == pytest.approx(tuple(map(float, theirs)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_mean_interval_refuses_a_confidence_that_is_no_fraction(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \(0, 1\)"):
        mean_interval([1, 2], confidence)


@pytest.mark.parametrize(
    ("parent", "accuracies", "expected"),
    [
        (1.0, (1.0, 0.99, 0.98), (0.7, 0.9, "none")),
        (1.0, (1.0, 0.98, 0.995), (0.5, 0.7, "none")),  # a later pass does not count
        (1.0, (1.0, 0.99, 0.99), (0.9, None, "right")),
        (1.0, (0.98, 0.99, 0.99), (None, 0.5, "left")),
        (0.98, (1.0, 1.0, 1.0), (None, 0.0, "left")),
        (1.0, (1.0, None, 0.5), (0.5, 0.9, "missing")),
        (1.0, (1.0, 0.5, None), (0.5, 0.7, "none")),  # what is missing lies beyond the first failure
        (1.0, (1.0, 1.0, None), (0.7, None, "missing")),
        (1.0, (None, 1.0, 1.0), (None, None, "missing")),
        (None, (1.0, 0.5, 0.5), (None, 0.7, "missing")),
    ],
)
def test_threshold_and_its_censoring(
    parent: float | None, accuracies: tuple[float | None, ...], expected: tuple[Any, Any, str]
) -> None:
    cells = [(0.5, 42, s, a) for s, a in zip((0.5, 0.7, 0.9), accuracies, strict=True)]
    frame = frame_of((0.5, 42, None, parent), *cells)
    assert compressibility_threshold(frame) == (Threshold(0.5, 42, *expected),)  # type: ignore[arg-type]


def test_threshold_relative_to_the_parent() -> None:
    frame = frame_of((1.0, 7, None, 0.90), (1.0, 7, 0.5, 0.892), (1.0, 7, 0.9, 0.88))
    assert compressibility_threshold(frame) == (Threshold(1.0, 7, None, 0.0, "left"),)
    # .99 * .90 = .891
    relative = compressibility_threshold(frame, relative_to_parent=True)
    assert relative == (Threshold(1.0, 7, 0.5, 0.9, "none"),)
    without_parent = frame[frame["phase"] == "prune"]
    assert compressibility_threshold(without_parent, relative_to_parent=True)[0].censoring == "missing"
    with pytest.raises(ValueError, match="level = 99"):
        compressibility_threshold(frame, 99)


def test_thresholds_of_the_digits_sweep(make_sweep: Any) -> None:
    found = compressibility_threshold(load(make_sweep()))
    assert [(t.randomization, t.seed, t.sparsity, t.censoring) for t in found[:4]] == [
        (0.0, 42, 0.9, "none"),
        (0.0, 43, 0.8, "none"),
        (0.0, 44, 0.9, "none"),
        (0.5, 42, None, "left"),
    ]


def test_paired_difference_by_hand(make_sweep: Any) -> None:
    found = paired_difference(load(make_sweep()), 0.0, 1.0, 0.95)
    assert found.seeds == (42, 43, 44)
    assert found.unfinished_seeds == ()
    # .976 - .110, .946 - .148, .975 - .140 = .866, .798, .835: mean .833, s = .034044
    assert found.differences == pytest.approx((0.866, 0.798, 0.835))
    assert found.interval.mean == pytest.approx(0.833)
    assert found.interval.half_width == pytest.approx(4.302653 * 0.0340441 / math.sqrt(3), abs=1e-6)
    oracle = stats.ttest_rel([0.976, 0.946, 0.975], [0.110, 0.148, 0.140]).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((oracle.low, oracle.high))


def test_paired_difference_uses_shared_seeds_only() -> None:
    frame = frame_of(
        (0, 1, 0.9, 0.9), (0, 2, 0.9, 0.8), (1, 1, 0.9, 0.4), (1, 2, 0.9, None), (1, 3, 0.9, 0.1)
    )
    found = paired_difference(frame, 0, 1, 0.9)
    assert found.seeds == (1,)
    assert found.interval == Interval(pytest.approx(0.5), None, None, 1)
    assert found.unfinished_seeds == (2, 3)
    dense = paired_difference(frame_of((0, 1, None, 1.0), (1, 1, None, 0.75)), 0, 1, None)
    assert dense.differences == (0.25,)


def test_headline_place_looks_at_the_grid_and_at_no_result() -> None:
    grid = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.9), seeds=(1, 2))
    cells = [(c.randomization, c.seed, getattr(c, "sparsity", None), None) for c in grid.cells()]
    assert headline_place(frame_of(*cells)) == (0.0, 1.0, 0.9)
    # .95 was added for one seed only: it is not shared
    assert headline_place(frame_of(*cells, (0.0, 1, 0.95, 0.9), (1.0, 1, 0.95, 0.1))) == (0.0, 1.0, 0.9)
    assert headline_place(frame_of((0.0, 1, None, 1.0), (1.0, 1, None, 1.0))) is None
    assert headline_place(frame_of((0.0, 1, None, 1.0), (0.0, 1, 0.5, 1.0))) is None
    assert headline_place(frame_of()) is None
