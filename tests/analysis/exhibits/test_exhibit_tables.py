"""The tables behind the figures, against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.attempts import Attempt, AttemptLog, Run
from analysis.exhibits import comparison, cost, slots
from analysis.exhibits.exhibit import Table
from analysis.exhibits.gallery import EXHIBITS
from analysis.experiment_data import ExperimentData
from analysis.figures.cost import get_cost_info
from analysis.figures.slots import get_slots_info
from rc_core.cells import Cell, Grid

PAIR = Grid(randomizations=(0.0,), sparsities=(0.5, 0.75), seeds=(42, 43))
HALF = Grid(randomizations=(0.5,), sparsities=(0.5, 0.9), seeds=(42,))
POINT_HEADER = ("p", "S", "mean", "low", "high", "n", "of", "unfinished", "seed 42", "seed 43")
T0 = 1767225600.0  # 2026-01-01 00:00 UTC
FAILED = Attempt("prune-p0.00-s42-dns-S0.500", 0.5, "lab", T0 + 10, T0 + 11.5, "failed", 1, 2)
LOG = AttemptLog(
    (
        Attempt("train-p0.00-s42", None, "lab", T0, T0 + 10, "done"),
        FAILED,
        FAILED._replace(started=T0 + 12, ended=T0 + 14, outcome="done", number=2),
        Attempt("prune-p0.00-s42-dns-S0.750", 0.75, "lab", T0 + 10, None, "lost"),
    ),
    (Run(T0 - 5, None, 2),),
    5,
    1,
)


def unequal(cell: Cell) -> float:
    """Parents .9 and .8; their prunings to .5 .8 and .8, to .75 .6 and .3."""
    values = {None: (0.9, 0.8), 0.5: (0.8, 0.8), 0.75: (0.6, 0.3)}
    return values[getattr(cell, "sparsity", None)][cell.seed - 42]


def pruned_to_eight_tenths(cell: Cell) -> float:
    return 1.0 if cell.phase == "train" else 0.8


def table(folder: Path, name: str, **choices: str) -> Table:
    return EXHIBITS[name].exhibit(ExperimentData.load(folder), choices).table


def assert_row(row: tuple[object, ...], expected: tuple[object, ...]) -> None:
    """Labels and counts exactly, floats up to rounding."""
    assert len(row) == len(expected)
    for mine, theirs in zip(row, expected, strict=True):
        assert type(mine) is type(theirs), (row, expected)
        assert mine == (pytest.approx(theirs, abs=1e-6) if isinstance(theirs, float) else theirs), row


@pytest.mark.parametrize("name", ["tradeoff", "heatmap"])
def test_points_of_the_grid(name: str, make_sweep: Any) -> None:
    found = table(make_sweep(grid=PAIR, accuracy=unequal), name)
    assert found.header == POINT_HEADER
    assert (found.label, found.num_label_columns) == ("training accuracy", 2)
    dense, half, most = found.rows
    # s = .0707107, half width 12.706205 * s / sqrt(2) = .635310
    assert_row(dense, (0.0, "dense", 0.85, 0.214690, 1.485310, 2, 2, "", 0.9, 0.8))
    assert_row(half, (0.0, "0.5", 0.8, 0.8, 0.8, 2, 2, "", 0.8, 0.8))
    # s = .212132, half width 1.905931
    assert_row(most, (0.0, "0.75", 0.45, -1.455931, 2.355931, 2, 2, "", 0.6, 0.3))


def test_tradeoff_as_drops_and_of_another_metric(make_sweep: Any) -> None:
    folder = make_sweep(grid=PAIR, accuracy=unequal)
    drops = table(folder, "tradeoff", value="drop")
    assert drops.label == "drop of training accuracy from the dense parent"
    # .3 and .5: half width 1.2706205
    assert_row(drops.rows[2], (0.0, "0.75", 0.4, -0.870620, 1.670620, 2, 2, "", 0.3, 0.5))
    assert table(folder, "tradeoff", axis="halvings") == table(folder, "tradeoff")
    tested = table(folder, "tradeoff", metric="test_accuracy")
    assert_row(tested.rows[1], (0.0, "0.5", 0.855, 0.855, 0.855, 2, 2, "", 0.855, 0.855))  # .95 * .9


@pytest.mark.parametrize("name", ["tradeoff", "heatmap"])
def test_unfinished_cells_stay_in_the_table(name: str, make_sweep: Any) -> None:
    folder = make_sweep(
        grid=PAIR,
        accuracy=unequal,
        failures={"prune-p0.00-s42-dns-S0.500": "boom"},
        missing=["prune-p0.00-s42-dns-S0.750", "prune-p0.00-s43-dns-S0.750"],
    )
    _, half, most = table(folder, name).rows
    assert_row(half, (0.0, "0.5", 0.8, None, None, 1, 2, "1 failed", None, 0.8))
    assert_row(most, (0.0, "0.75", None, None, None, 0, 2, "2 missing", None, None))


def test_thresholds(make_sweep: Any) -> None:
    found = table(make_sweep(grid=PAIR, accuracy=unequal), "threshold", level="0.9")
    assert found.header == ("definition", "p", "seed", "s*", "passes up to", "first failure")
    absolute, relative = "s*: accuracy ≥ 0.9", "s*: accuracy ≥ 0.9 of the parent’s"
    assert found.rows == [
        (absolute, 0.0, "42", "< 0.5", None, 0.5),
        (absolute, 0.0, "43", "< 0.5", None, 0.0),  # the parent has .8
        (absolute, 0.0, "median of 2 of 2", "< 0.5", None, None),
        (relative, 0.0, "42", "< 0.5", None, 0.5),  # .8 < .9 * .9
        (relative, 0.0, "43", "0.5", 0.5, 0.75),  # .8 ≥ .9 * .8 > .3
        (relative, 0.0, "median of 2 of 2", "< 0.5", None, None),
    ]
    dense = make_sweep("dense", Grid(randomizations=(0.0,), sparsities=(), seeds=(42,)))
    assert table(dense, "threshold").rows == []


def test_curves(make_sweep: Any) -> None:
    folder = make_sweep(grid=PAIR, accuracy=unequal)
    by_step = table(folder, "curves")
    assert by_step.header == ("p", "S", "seed", "n", "step", "train_accuracy")
    assert len(by_step.rows) == 3 * 5
    assert_row(
        by_step.rows[0], (0.0, "dense", "mean", 2, 120, 0.25)
    )  # .1 + (.9 - .1) / 5; .1 + (.8 - .1) / 5
    assert_row(by_step.rows[5], (0.0, "0.5", "mean", 2, 700, 0.96))  # 1 + (.8 - 1) / 5
    by_time = table(folder, "curves", axis="wall_seconds", lines="seed")
    assert by_time.header == ("p", "S", "seed", "n", "step", "wall_seconds", "train_accuracy")
    assert len(by_time.rows) == 6 * 5
    # 2.5 s a cell: a fifth of them, and after the parent's
    assert_row(by_time.rows[0], (0.0, "dense", "42", 1, 120, 0.5, 0.26))
    assert_row(by_time.rows[10], (0.0, "0.5", "42", 1, 700, 3.0, 0.96))
    loss = table(folder, "curves", metric="train_loss")
    assert_row(loss.rows[0], (0.0, "dense", "mean", 2, 120, 2.3 * 0.75))


def test_surgery_of_a_chosen_parent(make_sweep: Any) -> None:
    folder = make_sweep(grid=PAIR, accuracy=unequal)
    record_file = folder / "prune-p0.00-s43-dns-S0.500" / "record.json"
    record = json.loads(record_file.read_text())
    record["layers"] = [{"name": "blocks.0.conv1.weight", "num_weights": 40, "num_kept": 10}]
    record_file.write_text(json.dumps(record))
    found = table(folder, "surgery", parent="train-p0.00-s43")
    assert found.label == "surgery on train-p0.00-s43"
    assert found.header[:3] == ("S", "layer", "step")
    assert len(found.rows) == 2 * 5 + 1
    # 100 pruned and 7 spliced weights in the first 100 steps, none after them
    assert_row(found.rows[0], ("0.5", None, 100, 0.1, 0.098, 1.0, 0.07, 1.0, None, None))
    assert_row(found.rows[1], ("0.5", None, 200, 0.2, 0.196, 0.0, 0.0, 1.0, None, None))
    assert found.rows[10] == ("0.5", "0.conv1", *[None] * 6, 40, 10)
    assert table(folder, "surgery").label == "surgery on train-p0.00-s42"
    parents = EXHIBITS["surgery"].controls(ExperimentData.load(folder))[0].values
    assert parents == ("train-p0.00-s42", "train-p0.00-s43")


def test_gap_against_true_and_noisy_labels(make_sweep: Any) -> None:
    folder = make_sweep(grid=HALF, accuracy=pruned_to_eight_tenths)
    title = "test error − training error"
    true = table(folder, "gap").rows
    # test accuracy .95 / 2 + .05 = .525
    assert_row(true[0], (title, 0.5, "dense", 0.475, None, None, 1, 1, "", 0.475))
    # .95 / 2 * .9 + .05 = .4775; training error .2
    assert_row(true[1], (title, 0.5, "0.5", 0.3225, None, None, 1, 1, "", 0.3225))
    noisy = table(folder, "gap", labels="noisy").rows
    # .5 * .475 + .5 * .9
    assert_row(noisy[0], (f"noisy {title}", 0.5, "dense", 0.6875, None, None, 1, 1, "", 0.6875))


def test_memorization_and_forgetting(make_sweep: Any) -> None:
    folder = make_sweep(grid=HALF, accuracy=pruned_to_eight_tenths)
    kept, redrawn, true = (table(folder, "memorization").rows[index] for index in (1, 4, 7))
    # of .8 in all: redrawn .8 - .15, kept 2 * .8 - .65
    assert_row(kept, ("accuracy on kept labels", 0.5, "0.5", 0.95, None, None, 1, 1, "", 0.95))
    assert_row(redrawn, ("accuracy on redrawn labels", 0.5, "0.5", 0.65, None, None, 1, 1, "", 0.65))
    assert_row(true, ("redrawn examples: accuracy on true label", 0.5, "0.5", 0.1, None, None, 1, 1, "", 0.1))
    score, selectivity, gain = (table(folder, "forgetting").rows[index] for index in (1, 4, 7))
    # (.65 - .1) / .9
    assert_row(score, ("memorization score", 0.5, "0.5", 0.611111, None, None, 1, 1, "", 0.611111))
    # the parent has .85 and 1: .2 lost of the redrawn, .05 of the kept
    assert_row(selectivity, ("forgetting selectivity F(S)", 0.5, "0.5", 0.15, None, None, 1, 1, "", 0.15))
    assert_row(gain, ("denoising: gain on true labels", 0.5, "0.5", 0.0, None, None, 1, 1, "", 0.0))


def test_cost(make_sweep: Any) -> None:
    data = ExperimentData.load(make_sweep(grid=PAIR, accuracy=unequal))
    found = cost.table(get_cost_info(data.frame, LOG))
    assert found.header[:4] == ("quantity", "p", "S", "mean or sum")
    # 2.5 s: 600 steps of a training, 500 of a pruning
    assert_row(
        found.rows[0],
        ("milliseconds a step", 0.0, "dense", *[4.166667] * 3, 2, 2, "", *[4.166667] * 2),
    )
    assert_row(found.rows[1], ("milliseconds a step", 0.0, "0.5", *[5.0] * 3, 2, 2, "", *[5.0] * 2))
    assert_row(found.rows[3], ("seconds a cell", 0.0, "dense", *[2.5] * 3, 2, 2, "", *[2.5] * 2))
    sums = [(row[0], row[2], row[3], row[6]) for row in found.rows[6:]]
    assert sums == [
        ("device seconds in all", "dense", 5.0, 2),
        ("device seconds in all", "0.5", 5.0, 2),
        ("device seconds in all", "0.75", 5.0, 2),
        ("cells by attempts: 1", "all", 2, 2),
        ("cells by attempts: 2", "all", 1, 1),
    ]
    assert {len(row) for row in found.rows} == {len(found.header)}


def test_slots() -> None:
    found = slots.table(get_slots_info(LOG))
    assert found.header == tuple(
        ["run", "cell", "host", "slot", "stack", "outcome", "attempt", "of", "start (s)", "end (s)"]
    )
    assert sorted(found.rows, key=lambda row: str(row[1:])) == [
        (1, "prune-p0.00-s42-dns-S0.500", "lab", 1, None, "done", 2, 2, 12.0, 14.0),
        (1, "prune-p0.00-s42-dns-S0.500", "lab", 1, None, "failed", 1, 2, 10.0, 11.5),
        (1, "prune-p0.00-s42-dns-S0.750", "lab", 2, None, "lost", 1, 1, 10.0, None),
        (1, "train-p0.00-s42", "lab", 1, None, "done", 1, 1, 0.0, 10.0),
    ]


def test_published_points_beside_ours(make_sweep: Any) -> None:
    found = table(make_sweep(grid=HALF, accuracy=pruned_to_eight_tenths), "published")
    assert found.header[:4] == ("p", "S", "published", "mean")
    assert [row[:4] for row in found.rows] == [(0.5, "0.5", 1.0, 0.8), (0.5, "0.9", 0.4194, 0.8)]


def test_comparison_of_two_experiments(make_sweep: Any) -> None:
    first = ExperimentData.load(make_sweep("old", PAIR, accuracy=unequal))
    missing = ["prune-p0.00-s43-dns-S0.750"]
    second = ExperimentData.load(make_sweep("new", PAIR, accuracy=lambda cell: 0.85, missing=missing))
    drawn = comparison.draw(first, second)
    assert drawn.table.label == "training accuracy, new minus old"
    assert drawn.table.header == (
        *("p", "S", "mean", "low", "high", "n", "of", "only in old", "only in new", "seed 42", "seed 43"),
    )
    assert_row(drawn.table.rows[0], (0.0, "dense", 0.0, -0.635310, 0.635310, 2, 2, 0, 0, -0.05, 0.05))
    assert_row(drawn.table.rows[2], (0.0, "0.75", 0.25, None, None, 1, 2, 0, 0, 0.25, None))
    rows = comparison.draw(first, second, {"view": "intervals"})
    assert rows.table == drawn.table
    assert rows.figure != drawn.figure
    tested = comparison.draw(first, second, {"metric": "test_accuracy"})
    assert_row(tested.table.rows[0], (0.0, "dense", *[0.0] * 3, 2, 2, 0, 0, 0.0, 0.0))
    with pytest.raises(ValueError, match="view=pie: view of comparison must be one of grid, intervals"):
        comparison.draw(first, second, {"view": "pie"})
    same = comparison.draw(first, first)
    assert same.table.label == "training accuracy, old (2) minus old (1)"
