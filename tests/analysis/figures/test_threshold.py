from __future__ import annotations

from typing import Any

import pytest

from analysis.censored_median import CensoredMedian
from analysis.figures.threshold import (
    ThresholdInfo,
    ThresholdLevel,
    ThresholdPanel,
    caption,
    get_threshold_info,
    median_text,
    plot_threshold,
    threshold_text,
)
from analysis.results import load, rows_to_frame
from analysis.statistics import Threshold
from rc_core.cells import Grid, PruneCell

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)


def left(p: float, seed: int) -> Threshold:
    return Threshold(p, seed, None, 0.5, "left")


def test_full_sweep(make_sweep: Any) -> None:
    zero = ThresholdLevel(
        0.0,
        (
            Threshold(0.0, 42, 0.9, 0.95, "none"),
            Threshold(0.0, 43, 0.8, 0.9, "none"),
            Threshold(0.0, 44, 0.9, 0.95, "none"),
        ),
        CensoredMedian(0.9, "none", 3),
        pytest.approx(2.6 / 3),  # type: ignore[arg-type]
    )
    levels = (
        zero,
        *(
            ThresholdLevel(
                p, tuple(left(p, seed) for seed in (42, 43, 44)), CensoredMedian(None, "left", 3), None
            )
            for p in (0.5, 1.0)
        ),
    )
    info = get_threshold_info(load(make_sweep()))
    # every parent has accuracy 1, so both definitions ask for the same
    assert info == ThresholdInfo(
        0.99, SPARSITIES, (ThresholdPanel(False, levels), ThresholdPanel(True, levels))
    )
    assert caption(info).endswith("n = 9 thresholds (top): 3 in the grid, 6 below it.")


def test_definitions_differ_where_the_parent_is_not_perfect(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42,))
    frame = load(make_sweep(grid=grid, accuracy=lambda cell: 0.95))
    absolute, relative = get_threshold_info(frame).panels
    assert absolute.levels[0].thresholds == (Threshold(0.0, 42, None, 0.0, "left"),)
    assert relative.levels[0].thresholds == (Threshold(0.0, 42, 0.9, None, "right"),)
    assert relative.levels[0].median == CensoredMedian(0.9, "right", 1)
    assert relative.levels[0].mean is None


def test_marks_tell_censoring_by_shape_and_place(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42, 43, 44))
    accuracies = {42: {0.5: 1.0, 0.9: 1.0}, 43: {0.5: 0.3, 0.9: 0.2}, 44: {0.5: 1.0, 0.9: 0.5}}
    folder = make_sweep(
        grid=grid,
        accuracy=lambda cell: accuracies[cell.seed][cell.sparsity] if isinstance(cell, PruneCell) else 1.0,
    )
    marks = plot_threshold(load(folder)).data[0]
    assert marks.marker.symbol == ("arrow-up", "arrow-down", "circle")
    high, low, exact = marks.y
    assert exact == 0.5
    assert low < 0.5
    assert high > 0.9
    assert sorted(marks.x) == list(marks.x)
    assert len(set(marks.x)) == 3  # seeds stand side by side
    assert marks.text[0] == "p = 0, seed 42<br>s* ≥ 0.9: every tested sparsity passes"


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.7, 0.9), seeds=(42, 43))
    frame = load(
        make_sweep(grid=grid, failures={"train-p1.00-s43": "boom"}, missing=["prune-p0.00-s42-dns-S0.700"])
    )
    info = get_threshold_info(frame)
    zero, one = info.panels[0].levels
    assert zero.thresholds == (
        Threshold(0.0, 42, 0.5, None, "missing"),
        Threshold(0.0, 43, 0.7, 0.9, "none"),
    )
    assert (zero.median, zero.mean) == (CensoredMedian(0.7, "none", 1), None)
    assert one.thresholds[1] == Threshold(1.0, 43, None, None, "missing")
    assert median_text(zero, 0.5) == "median<br><b>0.7</b><br>1 of 2"
    assert median_text(one, 0.5) == "median<br><b>< 0.5</b><br>1 of 2"
    drawn = plot_threshold(info).data[0]
    assert drawn.marker.symbol == ("circle-open", "circle")
    assert "2 open, for an unfinished cell stands before the first failure" in caption(info)


def test_nothing_to_show(make_sweep: Any) -> None:
    dense = load(make_sweep(grid=Grid(randomizations=(0.0,), sparsities=(), seeds=(42,))))
    assert caption(get_threshold_info(dense)) == "The sweep has no pruning: there is no threshold."
    for frame in (rows_to_frame([]), dense):
        figure = plot_threshold(frame)
        assert len(figure.data) == 0
        assert "No threshold" in figure.layout.annotations[0].text


@pytest.mark.parametrize(
    ("censoring", "sparsity", "expected"),
    [
        ("none", 0.7, "0.7"),
        ("right", 0.9, "≥ 0.9"),
        ("left", None, "< 0.5"),
        ("missing", 0.5, "? (≥ 0.5)"),
        ("missing", None, "?"),
    ],
)
def test_threshold_as_text(censoring: Any, sparsity: float | None, expected: str) -> None:
    assert threshold_text(censoring, sparsity, 0.5) == expected
