from __future__ import annotations

import pandas as pd
import pytest

from analysis.generalization import generalization_gap, noisy_test_error


def test_noisy_test_error() -> None:
    assert noisy_test_error(0.2, 0.5, 10) == pytest.approx(0.55)  # .5 * .2 + .5 * .9
    assert noisy_test_error(0.2, 0.0, 10) == 0.2
    assert noisy_test_error(0.2, 1.0, 10) == pytest.approx(0.9)  # chance, whatever the network does


def test_gap_is_test_error_minus_training_error() -> None:
    assert generalization_gap(0.9, 0.3) == pytest.approx(0.2)
    assert generalization_gap(0.5, 0.1) == pytest.approx(-0.4)


def test_series_keep_missing_values() -> None:
    gaps = generalization_gap(pd.Series([1.0, float("nan")]), pd.Series([0.25, 0.5]))
    assert gaps.iloc[0] == 0.25
    assert gaps.isna().tolist() == [False, True]
