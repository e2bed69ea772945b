from __future__ import annotations

from typing import Any

import pytest

from analysis.figures import theme, tradeoff
from analysis.figures.seed_lines import LinePoint
from analysis.figures.tradeoff import (
    TradeoffInfo,
    TradeoffLine,
    axis_place,
    get_tradeoff_info,
    on_scale,
    plot_tradeoff,
)
from analysis.grid import SeedValue
from analysis.results import load, rows_to_frame
from analysis.statistics import Interval
from rc_core.cells import Cell, Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
NONE = Interval(None, None, None, 0)


def one(value: float) -> Interval:
    return Interval(value, None, None, 1)


def unequal_parents(cell: Cell) -> float:
    """Parents .9 and .8; their prunings to .5 .8 and .8, to .75 .6 and .3."""
    values = {
        "train-p0.00-s42": 0.9,
        "train-p0.00-s43": 0.8,
        "prune-p0.00-s42-dns-S0.500": 0.8,
        "prune-p0.00-s43-dns-S0.500": 0.8,
        "prune-p0.00-s42-dns-S0.750": 0.6,
        "prune-p0.00-s43-dns-S0.750": 0.3,
    }
    return values[cell.cell_id]


UNEQUAL = Grid(randomizations=(0.0,), sparsities=(0.5, 0.75), seeds=(42, 43))


def test_info_of_one_seed(make_sweep: Any) -> None:
    assert get_tradeoff_info(load(make_sweep(grid=SMALL))) == TradeoffInfo(
        metric="train_accuracy",
        confidence=0.95,
        scale="sparsity",
        is_relative=False,
        lines=(
            TradeoffLine(
                0.0,
                (
                    LinePoint(None, 0.0, (SeedValue(42, 1.0, 0.0),), one(1.0), 1, ""),
                    LinePoint(0.5, 0.5, (SeedValue(42, 1.0, 0.49),), one(1.0), 1, ""),
                    LinePoint(0.9, 0.9, (SeedValue(42, 0.992, 0.89),), one(0.992), 1, ""),
                ),
                1.0,
            ),
            TradeoffLine(
                1.0,
                (
                    LinePoint(None, 0.0, (SeedValue(42, 1.0, 0.0),), one(1.0), 1, ""),
                    LinePoint(0.5, 0.5, (SeedValue(42, 0.961, 0.49),), one(0.961), 1, ""),
                    LinePoint(0.9, 0.9, (SeedValue(42, 0.118, 0.89),), one(0.118), 1, ""),
                ),
                1.0,
            ),
        ),
        left_out="n = 1 seed a point; 6 of 6 cells finished.",
    )


def test_info_of_an_empty_frame_and_of_an_unstarted_sweep(make_sweep: Any) -> None:
    nothing = get_tradeoff_info(rows_to_frame([]))
    assert nothing == TradeoffInfo(
        "train_accuracy", 0.95, "sparsity", False, (), "The sweep has no cell yet."
    )
    unstarted = get_tradeoff_info(
        load(make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()])), relative=True
    )
    points = tuple(
        LinePoint(sparsity, sparsity or 0.0, (), NONE, 1, "1 missing") for sparsity in (None, 0.5, 0.9)
    )
    assert unstarted == TradeoffInfo(
        "train_accuracy",
        0.95,
        "sparsity",
        True,
        (TradeoffLine(0.0, points, None), TradeoffLine(1.0, points, None)),
        "n = 1 seed a point; 0 of 6 cells finished (6 missing).",
    )
    for info in (nothing, unstarted):
        assert len(plot_tradeoff(info).data) == 0
        assert "No finished cell" in plot_tradeoff(info).layout.annotations[0].text


def test_info_of_a_partial_sweep(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=PAIR,
            failures={"train-p1.00-s43": "boom"},
            missing=["prune-p0.00-s42-dns-S0.900"],
        )
    )
    info = get_tradeoff_info(frame)
    assert info.left_out == (
        "n = 2 seeds a point; 8 of 12 cells finished (3 failed, 1 missing; means are over the finished ones)."
    )
    assert info.lines[0].points[2] == LinePoint(
        0.9, 0.9, (SeedValue(43, 0.984, 0.89),), one(0.984), 2, "1 missing"
    )
    assert info.lines[1].points == (
        LinePoint(None, 0.0, (SeedValue(42, 1.0, 0.0),), one(1.0), 2, "1 failed"),
        LinePoint(0.5, 0.5, (SeedValue(42, 0.961, 0.49),), one(0.961), 2, "1 failed"),
        LinePoint(0.9, 0.9, (SeedValue(42, 0.118, 0.89),), one(0.118), 2, "1 failed"),
    )
    hover = [text for trace in plot_tradeoff(info).data for text in trace.text or ()]
    assert "p = 0, S = 0.9<br>training accuracy: mean 0.9840<br>n = 1 of 2 (1 missing)" in hover


def test_full_sweep(make_sweep: Any) -> None:
    info = get_tradeoff_info(load(make_sweep()))
    assert [line.randomization for line in info.lines] == [0.0, 0.5, 1.0]
    last = info.lines[2].points[-1]
    # .110, .148, .140: mean .132667, s = .0200333, half width 4.302653 * .0200333 / sqrt(3) = .0497652
    assert last.interval.mean == pytest.approx(0.132667, abs=1e-6)
    assert last.interval.half_width == pytest.approx(0.0497652, abs=1e-6)
    assert info.left_out == "n = 3 seeds a point; 54 of 54 cells finished."
    assert info.left_out in tradeoff.caption(info)
    figure = plot_tradeoff(info)
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 3
    for band in bands:
        assert (band.x[0], band.y[0]) == (band.x[-1], band.y[-1])  # closed
        assert len(band.x) == 2 * 6 + 1
        assert all(0 <= y <= 1 for y in band.y)
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in dots] == [18, 18, 18]
    assert len({trace.marker.symbol for trace in dots}) == 3
    assert min(dots[0].x) == 0  # the dense parents
    labels = {note.text: note.y for note in figure.layout.annotations}
    assert labels["p = 0"] > labels["p = 0.5"] > labels["p = 1"]
    assert figure.layout.shapes == ()


def test_drop_is_taken_from_the_cells_own_parent(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=UNEQUAL, accuracy=unequal_parents))
    line = get_tradeoff_info(frame, relative=True).lines[0]
    assert line.control == 0
    dense, half, three_quarters = line.points
    assert [value.value for value in dense.values] == [0, 0]
    assert [value.value for value in half.values] == pytest.approx([0.1, 0.0])
    assert [value.value for value in three_quarters.values] == pytest.approx([0.3, 0.5])
    # .3, .5: mean .4, s = .141421, half width 12.706205 * .141421 / sqrt(2) = 1.2706205
    assert three_quarters.interval.mean == pytest.approx(0.4)
    assert three_quarters.interval.half_width == pytest.approx(1.2706205, abs=1e-6)
    assert get_tradeoff_info(frame).lines[0].control == pytest.approx(0.85)


def test_drop_leaves_out_cells_without_a_parent(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=UNEQUAL, accuracy=unequal_parents))
    frame = frame[frame["cell_id"] != "train-p0.00-s43"]
    info = get_tradeoff_info(frame, relative=True)
    assert [[value.seed for value in point.values] for point in info.lines[0].points] == [[42], [42], [42]]
    assert info.left_out.endswith(
        "2 finished cells have no finished parent in the table to compare with, and no dot."
    )
    orphan = get_tradeoff_info(frame[frame["phase"] != "train"])
    assert orphan.lines[0].control is None
    assert not [trace for trace in plot_tradeoff(orphan).data if (trace.name or "").startswith("dense")]


def test_halvings_space_the_sparsities(make_sweep: Any) -> None:
    assert [axis_place(sparsity, "halvings") for sparsity in (None, 0.0, 0.5, 0.75, 0.875)] == [0, 0, 1, 2, 3]
    assert axis_place(0.9, "halvings") == pytest.approx(3.321928)
    frame = load(make_sweep(grid=UNEQUAL, accuracy=unequal_parents))
    plain, halved = get_tradeoff_info(frame), get_tradeoff_info(frame, x="halvings")
    assert halved.scale == "halvings"
    assert [point.x for point in halved.lines[0].points] == [0, 1, 2]
    assert on_scale(halved, "sparsity") == plain
    figure = plot_tradeoff(halved)
    assert list(figure.layout.xaxis.tickvals) == [0, 1, 2]
    assert [text.replace("<br>", "") for text in figure.layout.xaxis.ticktext] == ["0dense", "0.5", "0.75"]
    assert "one unit halves the weights" in tradeoff.caption(halved)
    assert "one unit" not in tradeoff.caption(plain)


def test_control_is_the_parents_mean_over_the_whole_axis(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=UNEQUAL, accuracy=unequal_parents))
    control = next(trace for trace in plot_tradeoff(frame).data if trace.line.dash == "dot")
    assert list(control.x) == [0, 0.75]
    assert list(control.y) == pytest.approx([0.85, 0.85])


def test_axes_hold_all_that_is_drawn(make_sweep: Any) -> None:
    figure = plot_tradeoff(load(make_sweep()), relative=True, x="halvings")
    low, high = figure.layout.yaxis.range
    drawn = [y for trace in figure.data for y in trace.y if y is not None]
    assert low < min(drawn)
    assert high > max(drawn)
    assert figure.layout.yaxis.title.text == "drop of training accuracy<br>from the dense parent"
    left, right = figure.layout.xaxis.range
    assert left < 0
    assert right > axis_place(0.95, "halvings")


def test_line_that_ends_early_has_a_leader_to_its_label(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=SMALL, missing=["prune-p1.00-s42-dns-S0.900"]))
    figure = plot_tradeoff(frame)
    (leader,) = figure.layout.shapes
    assert (leader.x0, leader.y0, leader.x1) == (0.5, 0.961, 0.9)
    assert {note.x for note in figure.layout.annotations} == {0.9}
    assert leader.line.color == theme.HATCH


def test_another_metric_tells_what_is_not_defined(make_sweep: Any) -> None:
    frame = load(make_sweep())
    kept = get_tradeoff_info(frame, "accuracy_kept")
    assert kept.left_out.endswith("Not defined for p = 1: there is no such example.")
    redrawn = get_tradeoff_info(frame, "accuracy_redrawn")
    assert redrawn.left_out.endswith("Not defined for p = 0: there is no such example.")
    assert redrawn.lines[0].points[0] == LinePoint(None, 0.0, (), NONE, 3, "")
    assert plot_tradeoff(frame, "test_accuracy").layout.yaxis.title.text == "test accuracy"
    with pytest.raises(ValueError, match="metric = 'f1': must be one of train_accuracy"):
        get_tradeoff_info(frame, "f1")
    with pytest.raises(ValueError, match="x = 'density': must be one of sparsity, halvings"):
        get_tradeoff_info(frame, x="density")  # type: ignore[arg-type]
