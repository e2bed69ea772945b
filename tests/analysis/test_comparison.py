from __future__ import annotations

from typing import Any

import pytest

from analysis.comparison import Comparison, PairedCell, compare, what_is_compared
from analysis.results import load, rows_to_frame
from analysis.statistics import Interval
from rc_core.cells import Grid

PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def test_a_sweep_and_itself_differ_by_nothing(make_sweep: Any) -> None:
    frame = load(make_sweep())
    found = compare(frame, frame, names=("a", "b"))
    assert len(found.cells) == 18
    assert {difference for cell in found.cells for difference in cell.differences} == {0.0}
    assert (found.num_pairs, found.num_unpaired, found.num_only_first, found.num_only_second) == (54, 0, 0, 0)
    assert (found.differing, found.num_other_labels) == ((), 0)
    assert what_is_compared(found) == "n = 54 pairs of equal randomization, sparsity and seed."


def test_differences_are_second_minus_first_within_seeds(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR))
    second = load(
        make_sweep(
            "other",
            PAIR,
            changes={
                "prune-p1.00-s42-dns-S0.900": {"train_accuracy": 0.318},  # .118 before
                "prune-p1.00-s43-dns-S0.900": {"train_accuracy": 0.227},  # .127 before
            },
        )
    )
    cell = compare(first, second).cells[-1]
    assert (cell.randomization, cell.sparsity, cell.seeds) == (1.0, 0.9, (42, 43))
    assert cell.differences == (pytest.approx(0.2), pytest.approx(0.1))
    # mean .15; s = .1 / sqrt(2), t_{1, .975} = 12.7062: half width 12.7062 * .05 = .63531
    assert cell.interval.mean == pytest.approx(0.15)
    assert cell.interval.half_width == pytest.approx(0.63531, abs=1e-5)


def test_cells_without_counterpart_or_value_are_counted(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR, failures={"prune-p1.00-s42-dns-S0.900": "boom"}))
    wide = Grid(randomizations=(1.0,), sparsities=(0.9, 0.95), seeds=(42, 43, 44))
    second = load(make_sweep("wide", wide, missing=["train-p1.00-s43"]))
    found = compare(first, second, names=("first", "wide"))
    assert found == Comparison(
        first="first",
        second="wide",
        metric="train_accuracy",
        confidence=0.95,
        cells=(
            PairedCell(1.0, None, (42,), (0.0,), Interval(0.0, None, None, 1), 2, 0, 1),
            PairedCell(1.0, 0.9, (), (), Interval(None, None, None, 0), 2, 0, 1),
        ),
        num_only_first=12 - 4,
        num_only_second=9 - 4,
        num_unpaired=3,
        differing=(),
        num_other_labels=0,
    )
    assert what_is_compared(found) == (
        "n = 1 pairs of equal randomization, sparsity and seed. 3 of 4 shared cells have no value in one "
        "of the sweeps and are left out. Cells without a counterpart: 8 of first, 5 of wide."
    )


def test_other_recipes_and_labels_are_told(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR))
    second = first.assign(recipe="tiny", dataset="cifar10")
    second.loc[second["seed"] == 43, "label_sha256"] = "e" * 64
    found = compare(first, second)
    assert found.differing == ("recipe", "dataset")
    assert found.num_other_labels == 6
    assert what_is_compared(found).endswith(
        "The sweeps differ in recipe, dataset. 6 of 12 pairs were trained on different labels."
    )


def test_sweeps_that_share_a_point_but_no_seed_share_nothing(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR))
    second = first.assign(seed=first["seed"] + 100)
    found = compare(first, second)
    assert (found.cells, found.num_only_first, found.num_only_second) == ((), 12, 12)
    assert compare(rows_to_frame([]), first).cells == ()


def test_a_metric_that_is_not_defined_gives_no_pair(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=PAIR))
    found = compare(frame, frame, metric="accuracy_kept")
    assert [cell.interval.n for cell in found.cells] == [2, 2, 2, 0, 0, 0]
    assert found.num_unpaired == 6


def test_errors_name_what_to_do(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=PAIR))
    with pytest.raises(ValueError, match="metric = 'f1': must be one of train_accuracy"):
        compare(frame, frame, metric="f1")
    doubled = frame.copy()
    doubled.loc[doubled["seed"] == 43, "seed"] = 42
    with pytest.raises(ValueError, match=r"two: train-p0\.00-s43 is not the only cell of its randomization"):
        compare(frame, doubled, names=("one", "two"))
