from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.censored_median import CensoredMedian, censored_median
from analysis.statistics import Threshold


def exact(sparsity: float) -> Threshold:
    return Threshold(0.5, 42, sparsity, 0.99, "none")


LEFT = Threshold(0.5, 42, None, 0.5, "left")
RIGHT = Threshold(0.5, 42, 0.9, None, "right")
OPEN = Threshold(0.5, 42, 0.7, None, "missing")


@pytest.mark.parametrize(
    ("thresholds", "median"),
    [
        ([exact(0.5), exact(0.8), exact(0.7)], CensoredMedian(0.7, "none", 3)),
        ([LEFT, exact(0.8), RIGHT], CensoredMedian(0.8, "none", 3)),
        ([LEFT, LEFT, RIGHT], CensoredMedian(None, "left", 3)),
        ([RIGHT, LEFT, RIGHT], CensoredMedian(0.9, "right", 3)),
        ([exact(0.9), RIGHT, RIGHT], CensoredMedian(0.9, "right", 3)),  # "at least .9" is above .9
        ([exact(0.5), exact(0.8)], CensoredMedian(0.5, "none", 2)),
        ([LEFT, exact(0.8)], CensoredMedian(None, "left", 2)),
        ([OPEN, exact(0.8), OPEN], CensoredMedian(0.8, "none", 1)),
        ([OPEN], CensoredMedian(None, "missing", 0)),
        ([], CensoredMedian(None, "missing", 0)),
    ],
)
def test_median(thresholds: list[Threshold], median: CensoredMedian) -> None:
    assert censored_median(thresholds) == median


@given(st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]), min_size=1))
def test_without_censoring_it_is_the_lower_median(values: list[float]) -> None:
    assert censored_median(map(exact, values)).sparsity == statistics.median_low(values)
