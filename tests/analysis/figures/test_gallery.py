from __future__ import annotations

from typing import Any

import pytest

from analysis.figures import FIGURE_NAMES
from analysis.figures.gallery import GALLERY
from rc_core.cells import Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
# A trace that only this figure has.
MARKS = {
    "threshold": "median, p = 1",
    "surgery": "spliced a step, S = 0.9",
    "gap": "mean, dense",
    "memorization": "mean, p = 1",
    "forgetting": "mean, p = 1",
    "cost": "device time in all: 15.0 s",
    "published": "reference",
}


@pytest.mark.parametrize("name", MARKS)
def test_every_figure_is_drawn_from_a_folder(name: str, make_sweep: Any) -> None:
    figure = GALLERY[name](make_sweep(grid=SMALL))
    assert MARKS[name] in [trace.name for trace in figure.data]


@pytest.mark.parametrize("name", MARKS)
def test_an_unstarted_sweep_gets_a_sentence(name: str, make_sweep: Any) -> None:
    folder = make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()])
    figure = GALLERY[name](folder)
    shown = [trace for trace in figure.data if trace.name != "reference"]
    assert all(not trace.x for trace in shown)
    assert figure.layout.annotations


def test_the_names_are_those_of_the_command() -> None:
    """Frozen: scripts rest on these names."""
    assert tuple(GALLERY) == FIGURE_NAMES == ("tradeoff", "heatmap", "curves", "slots", *MARKS)
