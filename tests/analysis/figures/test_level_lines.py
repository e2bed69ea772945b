from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from analysis.figures.level_lines import (
    plot_quantities,
    summarize_quantity,
    what_is_undefined,
    y_range,
)
from analysis.grid import SeedValue, summarize
from analysis.results import load
from rc_core.cells import Grid

PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def test_a_quantity_is_summarized_as_the_accuracies_are(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=PAIR, failures={"prune-p1.00-s43-dns-S0.900": "boom"}))
    quantity = summarize_quantity(frame, 2 * frame["train_accuracy"], title="twice")
    counts = [(cell.num_seeds, cell.num_done, cell.num_failed) for cell in quantity.summary.cells]
    assert counts == [(2, 2, 0)] * 5 + [(2, 1, 1)]
    assert quantity.summary.cells[-1].values == (SeedValue(42, 0.236, 0.89),)  # 2 * .118
    accuracies = summarize(frame)
    for mine, plain in zip(quantity.summary.cells, accuracies.cells, strict=True):
        assert mine.interval.mean == pytest.approx(2 * (plain.interval.mean or math.nan))


def test_undefined_levels_are_those_with_finished_cells_but_no_value(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=PAIR, missing=["train-p1.00-s42", "train-p1.00-s43"]))
    nowhere = summarize_quantity(frame, pd.Series(math.nan, index=frame.index), title="nothing")
    assert nowhere.undefined == (0.0,)
    assert not nowhere.has_values
    everywhere = summarize_quantity(frame, frame["train_accuracy"], title="accuracy")
    assert everywhere.undefined == ()
    assert what_is_undefined([everywhere, nowhere]) == "Not defined: nothing at p = 0."
    assert what_is_undefined([everywhere]) == ""


def test_axis_holds_what_is_drawn(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=Grid(randomizations=(0.0,), sparsities=(0.5,), seeds=(42,))))
    values = pd.Series([2.0, 4.0], index=frame.index)
    # 2 to 4 with 6% room; with the reference 0 to 4; cut to the quantity's range before the room is added
    assert y_range(summarize_quantity(frame, values, title="q")) == pytest.approx([1.88, 4.12])
    assert y_range(summarize_quantity(frame, values, title="q", reference=0.0)) == pytest.approx(
        [-0.24, 4.24]
    )
    cut = summarize_quantity(frame, values, title="q", value_range=(3.0, math.inf))
    assert y_range(cut) == pytest.approx([2.94, 4.06])
    flat = summarize_quantity(frame, values * 0 + 2, title="q")
    assert y_range(flat) == pytest.approx([1.0, 3.0])


def test_every_panel_has_title_line_seeds_and_label(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=PAIR))
    panels = [
        summarize_quantity(frame, frame["train_accuracy"], title="one", value_range=(0.0, 1.0)),
        summarize_quantity(frame, pd.Series(math.nan, index=frame.index), title="none"),
    ]
    figure = plot_quantities(panels, "nothing")
    assert [trace.name for trace in figure.data] == [
        f"{kind}, p = {p}" for p in (0, 1) for kind in ("interval", "mean", "seeds")
    ]
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert [(band.x[0], band.x[-1]) for band in bands] == [(0.0, 0.0)] * 2
    texts = [note.text for note in figure.layout.annotations]
    assert texts == ["<b>one</b>", "p = 0", "p = 1", "<b>none</b>", "no finished cell has this"]
    assert figure.layout.yaxis.range == (-0.03, 1.04)
    nothing = plot_quantities(panels[1:], "nothing")
    assert len(nothing.data) == 0
    assert nothing.layout.annotations[0].text == "nothing"
