from __future__ import annotations

from typing import Any

import pytest

from analysis.comparison import PairedCell, compare
from analysis.figures.difference_grid import caption, plot_difference_grid, square_text
from analysis.results import load, rows_to_frame
from analysis.statistics import Interval
from rc_core.cells import Grid

PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def cell(interval: Interval, num_shared: int = 3) -> PairedCell:
    return PairedCell(0.5, 0.9, (), (), interval, num_shared, 0, 0)


@pytest.mark.parametrize(
    ("square", "text"),
    [
        (cell(Interval(0.2, 0.1, 0.3, 3)), "<b>+0.200</b><br>±0.100<br>n = 3 ▲"),
        (cell(Interval(-0.2, -0.3, -0.1, 3)), "<b>-0.200</b><br>±0.100<br>n = 3 ▼"),
        (cell(Interval(0.2, -0.1, 0.5, 2)), "<b>+0.200</b><br>±0.300<br>2 of 3"),
        (cell(Interval(0.2, 0.0, 0.4, 3)), "<b>+0.200</b><br>±0.200<br>n = 3"),  # 0 is in the interval
        (cell(Interval(0.2, None, None, 1), 1), "<b>+0.200</b><br>n = 1"),
        (cell(Interval(None, None, None, 0)), "0 of 3<br>pairs"),
        (None, "not in<br>both"),
    ],
)
def test_square_text(square: PairedCell | None, text: str) -> None:
    assert square_text(square) == text


def test_full_sweeps(make_sweep: Any) -> None:
    first = load(make_sweep())
    second = first.copy()
    second.loc[second["randomization"] == 1, "train_accuracy"] -= 0.1
    info = compare(first, second, names=("old", "new"))
    heatmap = plot_difference_grid(info).data[0]
    assert [list(row) for row in heatmap.z] == [[0.0] * 6, [0.0] * 6, pytest.approx([-0.1] * 6)]
    assert (heatmap.zmin, heatmap.zmax) == (pytest.approx(-0.1), pytest.approx(0.1))
    assert "new minus old" in caption(info)


def test_partial_and_failed_sweeps_are_hatched(make_sweep: Any) -> None:
    first = load(make_sweep(grid=PAIR))
    second = load(
        make_sweep(
            "second",
            PAIR,
            failures={"prune-p1.00-s42-dns-S0.900": "boom"},
            missing=["prune-p1.00-s43-dns-S0.900", "prune-p0.00-s42-dns-S0.500"],
        )
    )
    second = second[~((second["randomization"] == 0) & (second["sparsity_target"] == 0.9))]
    figure = plot_difference_grid(compare(first, second))
    assert [list(row) for row in figure.data[0].z] == [[0.0, 0.0, None], [0.0, 0.0, None]]
    assert [(trace.x[0], trace.y[0], trace.fillpattern.shape) for trace in figure.data[1:]] == [
        (1.53, -0.47, "/"),
        (1.53, 0.53, "/"),
    ]
    texts = [note.text for note in figure.layout.annotations]
    assert texts[2] == "not in<br>both"
    assert texts[5] == "0 of 2<br>pairs"


def test_nothing_to_show(make_sweep: Any) -> None:
    unstarted = load(make_sweep(grid=PAIR, missing=[cell.cell_id for cell in PAIR.cells()]))
    for frame in (rows_to_frame([]), unstarted):
        figure = plot_difference_grid(compare(frame, frame))
        assert len(figure.data) == 0
        assert "No pair" in figure.layout.annotations[0].text
