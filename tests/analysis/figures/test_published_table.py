from __future__ import annotations

from typing import Any

import pytest

from analysis.figures.published_table import caption, get_published_table_info, plot_published_table
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

ONE = Grid(randomizations=(0.0, 0.2, 1.0), sparsities=(0.5, 0.9, 0.95), seeds=(42,))


def pairs(info: Any) -> list[tuple[float, float | None, float, float | None]]:
    return [
        (cell.ours.randomization, cell.ours.sparsity, cell.published, cell.ours.interval.mean)
        for cell in info.cells
    ]


def test_only_points_that_both_have(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE, accuracy=lambda cell: 0.5)
    info = get_published_table_info(load(folder))
    # p = .2 and S = .95 are not published, dense networks neither
    assert pairs(info) == [
        (0.0, 0.5, 1.0, 0.5),
        (0.0, 0.9, 0.97896, 0.5),
        (1.0, 0.5, 0.99962, 0.5),
        (1.0, 0.9, 0.2077, 0.5),
    ]
    assert (info.num_published, info.num_only_ours) == (25, 5)
    assert info.recipes == ("digits",)


def test_another_recipe_is_said_on_the_figure_and_in_the_caption(make_sweep: Any) -> None:
    frame = load(make_sweep())
    info = get_published_table_info(frame)
    assert not info.repeats_the_paper
    assert "The recipe is digits, not paper" in caption(info)
    notes = [note.text for note in plot_published_table(info).layout.annotations]
    assert "recipe digits, not paper: compare order, not numbers" in notes
    paper = get_published_table_info(frame.assign(recipe="paper"))
    assert paper.repeats_the_paper
    assert "the numbers may be compared" in caption(paper)
    assert not any("compare order" in note.text for note in plot_published_table(paper).layout.annotations)


def test_full_sweep(make_sweep: Any) -> None:
    info = get_published_table_info(load(make_sweep()))
    assert len(info.cells) == 12
    assert info.num_only_ours == 3
    assert "12 of 25 published points that the grid has; 36 of their 36 cells are finished" in caption(info)
    figure = plot_published_table(info)
    references = next(trace for trace in figure.data if trace.name == "reference")
    assert references.x == pytest.approx(
        [1.0, 1.0, 1.0, 0.97896, 1.0, 0.92822, 0.60466, 0.4194, 0.99962, 0.8876, 0.67422, 0.2077]
    )
    assert len(next(trace for trace in figure.data if trace.name == "seeds").x) == 36


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.5,), seeds=(42, 43))
    frame = load(
        make_sweep(
            grid=grid,
            failures={"train-p1.00-s42": "boom", "train-p1.00-s43": "boom"},
            missing=["prune-p0.00-s43-dns-S0.500"],
        )
    )
    info = get_published_table_info(frame)
    assert [(cell.ours.interval.n, cell.ours.unfinished) for cell in info.cells] == [
        (1, "1 missing"),
        (0, "2 failed"),
    ]
    assert "1 of their 4 cells are finished" in caption(info)
    notes = [note.text for note in plot_published_table(info).layout.annotations]
    assert {"1 of 2", "0 of 2", "2 failed"} <= set(notes)


def test_nothing_to_show(make_sweep: Any) -> None:
    other = load(
        make_sweep(grid=Grid(randomizations=(0.2,), sparsities=(0.95,), seeds=(42,)), accuracy=lambda _: 1.0)
    )
    for frame in (rows_to_frame([]), other):
        info = get_published_table_info(frame)
        assert caption(info) == "The sweep's grid has none of the 25 published points."
        assert len(plot_published_table(info).data) == 0
