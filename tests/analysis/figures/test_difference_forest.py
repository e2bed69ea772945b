from __future__ import annotations

from typing import Any

import pytest

from analysis.comparison import compare
from analysis.figures.difference_forest import caption, plot_difference_forest
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def test_full_sweeps(make_sweep: Any) -> None:
    first = load(make_sweep())
    info = compare(first, first.assign(train_accuracy=first["train_accuracy"] - 0.25), names=("old", "new"))
    figure = plot_difference_forest(info)
    seeds, means, references = figure.data
    assert seeds.x == pytest.approx([-0.25] * 54)
    assert means.x == pytest.approx([-0.25] * 18)
    assert references.x == ()
    assert "Training accuracy, new minus old" in caption(info)
    assert "right of 0, new is higher" in caption(info)
    assert figure.layout.xaxis.title.text == "difference of training accuracy"


def test_partial_and_failed_sweeps_keep_their_rows(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR))
    second = load(
        make_sweep("second", PAIR, failures={"train-p1.00-s42": "boom"}, missing=["train-p1.00-s43"])
    )
    figure = plot_difference_forest(compare(first, second))
    notes = [note.text for note in figure.layout.annotations]
    assert notes.count("no finished pair") == 3
    assert notes.count("0 of 2") == 3
    assert figure.data[1].text[0] == (
        "p = 0, S = dense<br>difference: mean +0.0000 (+0.0000 to +0.0000)<br>n = 2 of 2 pairs"
    )


def test_one_seed_has_no_interval(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=Grid(randomizations=(0.0,), sparsities=(0.5,), seeds=(42,))))
    figure = plot_difference_forest(compare(frame, frame))
    assert figure.data[1].text[1] == "p = 0, S = 0.5<br>difference: mean +0.0000<br>n = 1 of 1 pairs"


def test_nothing_to_show(make_sweep: Any) -> None:
    unstarted = load(make_sweep(grid=PAIR, missing=[cell.cell_id for cell in PAIR.cells()]))
    for frame in (rows_to_frame([]), unstarted):
        figure = plot_difference_forest(compare(frame, frame))
        assert len(figure.data) == 0
        assert "No pair" in figure.layout.annotations[0].text
