from __future__ import annotations

from typing import Any

import pytest

from analysis.curves import Curve, CurvesPanel, curve_scales
from analysis.figures import curves, theme
from analysis.figures.curves import CurvesInfo, get_curves_info, plot_curves
from analysis.results import load, load_history, rows_to_frame
from rc_core.cells import Grid
from rc_core.recipes import preset

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
ONE = Grid(randomizations=(0.0,), sparsities=(0.9,), seeds=(42, 43))
DIGITS = preset("digits").recipe  # 600 and 500 steps of 64 out of 1,000 examples


def about(*values: float) -> Any:
    return pytest.approx(values)


def test_children_are_joined_to_their_parents(make_sweep: Any) -> None:
    path = make_sweep(grid=PAIR, missing=["prune-p0.00-s43-dns-S0.900"], num_points=2)
    info = get_curves_info(load(path), load_history(path))
    assert (info.num_cells, info.num_cells_asked, info.by, info.scale) == (11, 12, "mean", "step")
    assert info.panels[0] == CurvesPanel(
        0.0,
        600,
        (
            Curve(None, None, (300, 600), (300, 600), about(0.55, 1.0), 2, None),
            Curve(0.5, None, (850, 1100), (850, 1100), (1.0, 1.0), 2, (600, 1.0)),
            Curve(0.9, None, (850, 1100), (850, 1100), about(0.996, 0.992), 1, (600, 1.0)),
        ),
    )
    # p = 1, S = .9: means of .118 and .127, and half-way of the fall from 1
    child = info.panels[1].curves[2]
    assert child.values == about(0.56125, 0.1225)
    by_seed = get_curves_info(load(path), load_history(path), by="seed")
    assert [(curve.sparsity, curve.seed) for curve in by_seed.panels[0].curves] == [
        (None, 42),
        (None, 43),
        (0.5, 42),
        (0.5, 43),
        (0.9, 42),
    ]
    assert by_seed.num_cells == 11


def test_a_mean_keeps_the_steps_that_all_its_cells_have(make_sweep: Any) -> None:
    path = make_sweep(grid=ONE, num_points=4)
    history = load_history(path)
    lost = (history["cell_id"] == "train-p0.00-s43") & (history["step"] == 300)
    info = get_curves_info(load(path), history[~lost])
    assert info.panels[0].curves[0].steps == (150, 450, 600)
    assert info.panels[0].curves[1].steps == (725, 850, 975, 1100)


def test_epochs_are_steps_times_batch_size_over_examples(make_sweep: Any) -> None:
    path = make_sweep(grid=ONE, num_points=2)
    (panel,) = get_curves_info(load(path), load_history(path), x="epoch", recipe=DIGITS).panels
    assert panel.warm_start == pytest.approx(38.4)  # 600 * 64 / 1000
    parent, child = panel.curves
    assert parent.places == about(19.2, 38.4)
    assert child.steps == (850, 1100)
    assert child.places == about(54.4, 70.4)  # 250 and 500 steps are 16 and 32 epochs
    assert child.start == about(38.4, 1.0)


def test_wall_time_is_shared_out_over_the_steps(make_sweep: Any) -> None:
    seconds = {
        "train-p0.00-s42": 10.0,
        "train-p0.00-s43": 20.0,
        "prune-p0.00-s42-dns-S0.900": 4.0,
        "prune-p0.00-s43-dns-S0.900": 8.0,
    }
    changes = {cell_id: {"wall_seconds": value} for cell_id, value in seconds.items()}
    path = make_sweep(grid=ONE, num_points=2, changes=changes)
    frame, history = load(path), load_history(path)
    (panel,) = get_curves_info(frame, history, x="wall_seconds").panels
    assert panel.warm_start == 15
    assert panel.curves[0].places == about(7.5, 15)
    assert panel.curves[1].places == about(18, 21)
    (panel,) = get_curves_info(frame, history, x="wall_seconds", by="seed").panels
    assert [curve.places for curve in panel.curves] == [
        about(5, 10),
        about(10, 20),
        about(12, 14),
        about(24, 28),
    ]
    assert [curve.start for curve in panel.curves] == [None, None, about(10, 1), about(20, 1)]


def test_a_child_starts_where_its_own_parents_end(make_sweep: Any) -> None:
    changes = {"train-p0.00-s42": {"wall_seconds": 10.0}, "train-p0.00-s43": {"wall_seconds": 20.0}}
    path = make_sweep(grid=ONE, missing=["prune-p0.00-s42-dns-S0.900"], num_points=2, changes=changes)
    (panel,) = get_curves_info(load(path), load_history(path), x="wall_seconds").panels
    assert panel.curves[0].places[-1] == 15
    assert panel.curves[1].start == (20, 1.0)
    assert panel.curves[1].places == about(21.25, 22.5)


def test_children_of_a_parent_elsewhere_start_at_0(make_sweep: Any) -> None:
    path = make_sweep(grid=ONE, num_points=2)
    frame = load(path)
    (panel,) = get_curves_info(frame[frame["phase"] != "train"], load_history(path)).panels
    assert panel.warm_start is None
    assert [(curve.steps, curve.start) for curve in panel.curves] == [((250, 500), None)]
    assert plot_curves(frame[frame["phase"] != "train"], load_history(path)).layout.shapes == ()


def test_axes_that_there_is_what_it_takes_for(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=ONE))
    assert curve_scales(frame) == ("step", "wall_seconds")
    assert curve_scales(frame, DIGITS) == ("step", "epoch", "wall_seconds")
    assert curve_scales(frame, preset("paper").recipe)[1] == "epoch"  # all 50,000 examples of cifar10
    untimed = load(make_sweep("untimed", ONE, changes={"train-p0.00-s42": {"wall_seconds": None}}))
    assert curve_scales(untimed) == ("step",)
    assert curve_scales(rows_to_frame([])) == ("step",)
    with pytest.raises(ValueError, match="x = 'epoch': must be one of step, wall_seconds; epoch needs"):
        get_curves_info(frame, load_history(make_sweep("other", ONE)), x="epoch")


def test_figure_starts_a_child_at_its_parents_end(make_sweep: Any) -> None:
    path = make_sweep(num_points=3)
    figure = plot_curves(load(path), load_history(path))
    assert len(figure.data) == 3 * 6
    child = next(trace for trace in figure.data if trace.name == "p = 1, S = 0.95, n = 3")
    assert (child.x[0], child.y[0]) == (600, 1.0)
    assert child.x[-1] == 1100
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(600, 600)] * 3
    info = get_curves_info(load(path), load_history(path), "train_loss")
    assert plot_curves(info).layout.yaxis.range[1] > 2
    assert "54 of 54 cells have curves" in curves.caption(info)
    with pytest.raises(ValueError, match="metric = 'f1'"):
        get_curves_info(load(path), load_history(path), "f1")


def test_figure_over_time_has_a_unit_and_leaders_to_the_labels(make_sweep: Any) -> None:
    seconds = {
        "train-p0.00-s42": 60.0,
        "prune-p0.00-s42-dns-S0.500": 60.0,
        "prune-p0.00-s42-dns-S0.900": 120.0,
    }
    grid = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42,))
    changes = {cell_id: {"wall_seconds": value} for cell_id, value in seconds.items()}
    path = make_sweep(grid=grid, num_points=2, changes=changes)
    info = get_curves_info(load(path), load_history(path), x="wall_seconds")
    figure = plot_curves(info)
    assert figure.layout.xaxis.title.text == "wall time in minutes (training, then pruning)"
    assert [list(trace.x) for trace in figure.data] == [[0.5, 1], [1, 1.5, 2], [1, 2, 3]]
    assert [note.x for note in figure.layout.annotations] == [0, 3, 3]  # the panel's title, two labels
    leader, warm_start = figure.layout.shapes
    assert (leader.x0, leader.x1, leader.line.color) == (2, 3, theme.HATCH)
    assert (warm_start.x0, warm_start.x1) == (1, 1)
    assert "shared out evenly over its steps" in curves.caption(info)


def test_nothing_to_show(make_sweep: Any) -> None:
    path = make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()])
    info = get_curves_info(load(path), load_history(path))
    assert info == CurvesInfo("train_accuracy", "mean", "step", (), 0, 6)
    assert curves.caption(info) == "No finished cell has curves yet (of 6)."
    assert "No finished cell" in plot_curves(info).layout.annotations[0].text
    with pytest.raises(ValueError, match="history = None"):
        plot_curves(load(path))
    empty = get_curves_info(rows_to_frame([]), load_history(path))
    assert empty == CurvesInfo("train_accuracy", "mean", "step", (), 0, 0)
