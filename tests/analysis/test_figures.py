from __future__ import annotations

from typing import Any

import pytest

from analysis.figures import curves, grid_heatmap, theme, tradeoff
from analysis.figures.curves import Curve, CurvesInfo, CurvesPanel, get_curves_info, plot_curves
from analysis.figures.grid_heatmap import get_grid_heatmap_info, plot_grid_heatmap
from analysis.figures.tradeoff import (
    TradeoffInfo,
    TradeoffLine,
    TradeoffPoint,
    band_polygon,
    get_tradeoff_info,
    plot_tradeoff,
)
from analysis.grid import GridCell, SeedValue, summarize
from analysis.results import load, load_history, rows_to_frame
from analysis.statistics import Interval
from analysis.tables import format_summary
from rc_core.cells import Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def one(value: float) -> Interval:
    return Interval(value, None, None, 1)


NONE = Interval(None, None, None, 0)


def test_tradeoff_info_of_one_seed(make_sweep: Any) -> None:
    assert get_tradeoff_info(load(make_sweep(grid=SMALL))) == TradeoffInfo(
        metric="train_accuracy",
        confidence=0.95,
        lines=(
            TradeoffLine(
                0.0,
                (
                    TradeoffPoint(None, (SeedValue(42, 1.0, 0.0),), one(1.0), 1, ""),
                    TradeoffPoint(0.5, (SeedValue(42, 1.0, 0.49),), one(1.0), 1, ""),
                    TradeoffPoint(0.9, (SeedValue(42, 0.992, 0.89),), one(0.992), 1, ""),
                ),
            ),
            TradeoffLine(
                1.0,
                (
                    TradeoffPoint(None, (SeedValue(42, 1.0, 0.0),), one(1.0), 1, ""),
                    TradeoffPoint(0.5, (SeedValue(42, 0.961, 0.49),), one(0.961), 1, ""),
                    TradeoffPoint(0.9, (SeedValue(42, 0.118, 0.89),), one(0.118), 1, ""),
                ),
            ),
        ),
        left_out="n = 1 seed a point; 6 of 6 cells finished.",
    )


def test_tradeoff_info_of_an_empty_frame_and_of_an_unstarted_sweep(make_sweep: Any) -> None:
    nothing = get_tradeoff_info(rows_to_frame([]))
    assert nothing == TradeoffInfo("train_accuracy", 0.95, (), "The sweep has no cell yet.")
    unstarted = get_tradeoff_info(
        load(make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()]))
    )
    points = tuple(TradeoffPoint(sparsity, (), NONE, 1, "1 missing") for sparsity in (None, 0.5, 0.9))
    assert unstarted == TradeoffInfo(
        "train_accuracy",
        0.95,
        (TradeoffLine(0.0, points), TradeoffLine(1.0, points)),
        "n = 1 seed a point; 0 of 6 cells finished (6 missing).",
    )
    for info in (nothing, unstarted):
        assert len(plot_tradeoff(info).data) == 0
        assert "No finished cell" in plot_tradeoff(info).layout.annotations[0].text


def test_tradeoff_info_of_a_partial_sweep(make_sweep: Any) -> None:
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
    assert info.lines[0].points[2] == TradeoffPoint(
        0.9, (SeedValue(43, 0.984, 0.89),), one(0.984), 2, "1 missing"
    )
    assert info.lines[1].points == (
        TradeoffPoint(None, (SeedValue(42, 1.0, 0.0),), one(1.0), 2, "1 failed"),
        TradeoffPoint(0.5, (SeedValue(42, 0.961, 0.49),), one(0.961), 2, "1 failed"),
        TradeoffPoint(0.9, (SeedValue(42, 0.118, 0.89),), one(0.118), 2, "1 failed"),
    )
    hover = [text for trace in plot_tradeoff(info).data for text in trace.text or ()]
    assert "p = 0, S = 0.9<br>mean 0.984<br>n = 1 of 2 (1 missing)" in hover


def test_tradeoff_of_the_full_sweep(make_sweep: Any) -> None:
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


def test_tradeoff_of_another_metric_tells_what_is_not_defined(make_sweep: Any) -> None:
    frame = load(make_sweep())
    kept = get_tradeoff_info(frame, "accuracy_kept")
    assert kept.left_out.endswith("Not defined for p = 1: there is no such example.")
    redrawn = get_tradeoff_info(frame, "accuracy_redrawn")
    assert redrawn.left_out.endswith("Not defined for p = 0: there is no such example.")
    assert redrawn.lines[0].points[0] == TradeoffPoint(None, (), NONE, 3, "")
    assert plot_tradeoff(frame, "test_accuracy").layout.yaxis.title.text == "test accuracy"
    with pytest.raises(ValueError, match="metric = 'f1': must be one of train_accuracy"):
        get_tradeoff_info(frame, "f1")


def test_band_is_split_at_gaps_and_cut_to_the_range() -> None:
    def point(sparsity: float, interval: Interval) -> TradeoffPoint:
        return TradeoffPoint(sparsity, (), interval, 2, "")

    xs, ys = band_polygon(
        (
            point(0.1, Interval(0.9, 0.7, 1.1, 2)),
            point(0.2, Interval(0.5, 0.4, 0.6, 2)),
            point(0.3, Interval(0.5, None, None, 1)),
            point(0.4, Interval(0.1, -0.1, 0.3, 2)),
        )
    )
    assert xs == [0.1, 0.2, 0.2, 0.1, 0.1, None, 0.4, 0.4, 0.4]
    assert ys == [1.0, 0.6, 0.4, 0.7, 1.0, None, 0.3, 0.0, 0.3]


def test_grid_info_counts_every_status(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=PAIR,
            failures={"train-p1.00-s43": "boom"},
            missing=["prune-p0.00-s42-dns-S0.900"],
            running=["prune-p0.00-s43-dns-S0.900"],
        )
    )
    info = get_grid_heatmap_info(frame)
    assert info.randomizations == (0.0, 1.0)
    assert info.sparsities == (None, 0.5, 0.9)
    assert info.cells[2] == GridCell(0.0, 0.9, (), NONE, 2, 0, 1, 0, 1)
    assert info.cells[2].unfinished == "1 running, 1 missing"
    assert info.cells[5] == GridCell(1.0, 0.9, (SeedValue(42, 0.118, 0.89),), one(0.118), 2, 1, 0, 1, 0)
    assert [len(cells) for _, cells in info.rows] == [3, 3]
    assert get_grid_heatmap_info(rows_to_frame([])).cells == ()


def test_heatmap_shows_what_is_unfinished(make_sweep: Any) -> None:
    failed = {f"prune-p1.00-s{seed}-dns-S0.900": "boom" for seed in (42, 43)}
    missing = [f"prune-p0.00-s{seed}-dns-S0.900" for seed in (42, 43)]
    info = get_grid_heatmap_info(load(make_sweep(grid=PAIR, failures=failed, missing=missing)))
    figure = plot_grid_heatmap(info)
    texts = [note.text for note in figure.layout.annotations]
    assert texts == [
        "<b>1.000</b><br>±0.000<br>n = 2",
        "<b>1.000</b><br>±0.000<br>n = 2",
        "2 missing",
        "<b>1.000</b><br>±0.000<br>n = 2",
        "<b>0.973</b><br>±0.152<br>n = 2",
        "✕ 2 failed",
    ]
    patterns = [trace.fillpattern.shape for trace in figure.data[1:]]
    assert patterns == ["/", "x"]
    assert "2 failed, 2 missing" in grid_heatmap.caption(info)
    assert "no cell yet" in plot_grid_heatmap(rows_to_frame([])).layout.annotations[0].text


def test_heatmap_of_grids_that_do_not_cover_each_other(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=SMALL))
    frame = frame[~((frame["randomization"] == 0.0) & (frame["sparsity_target"] == 0.5))]
    texts = [note.text for note in plot_grid_heatmap(frame).layout.annotations]
    assert texts[1] == "not in<br>the grid"


def test_curves_info_joins_children_to_their_parents(make_sweep: Any) -> None:
    path = make_sweep(grid=PAIR, missing=["prune-p0.00-s43-dns-S0.900"], num_points=2)
    info = get_curves_info(load(path), load_history(path))
    assert (info.num_cells, info.num_cells_asked, info.by) == (11, 12, "mean")
    assert info.panels[0] == CurvesPanel(
        0.0,
        600,
        (
            Curve(None, None, (300, 600), (pytest.approx(0.55), 1.0), 2),
            Curve(0.5, None, (850, 1100), (1.0, 1.0), 2),
            Curve(0.9, None, (850, 1100), (pytest.approx(0.996), pytest.approx(0.992)), 1),
        ),
    )
    # p = 1, S = .9: means of .118 and .127, and half-way of the fall from 1
    child = info.panels[1].curves[2]
    assert child.values == (pytest.approx(0.56125), pytest.approx(0.1225))
    by_seed = get_curves_info(load(path), load_history(path), by="seed")
    assert [(curve.sparsity, curve.seed) for curve in by_seed.panels[0].curves] == [
        (None, 42),
        (None, 43),
        (0.5, 42),
        (0.5, 43),
        (0.9, 42),
    ]


def test_curves_figure_starts_a_child_at_its_parents_end(make_sweep: Any) -> None:
    path = make_sweep(num_points=3)
    figure = plot_curves(load(path), load_history(path))
    assert len(figure.data) == 3 * 6
    child = next(trace for trace in figure.data if trace.name == "p = 1, S = 0.95, n = 3")
    assert (child.x[0], child.y[0]) == (600, 1.0)
    assert child.x[-1] == 1100
    assert {shape.x0 for shape in figure.layout.shapes} == {600}
    info = get_curves_info(load(path), load_history(path), "train_loss")
    assert plot_curves(info).layout.yaxis.range[1] > 2
    assert "54 of 54 cells have curves" in curves.caption(info)
    with pytest.raises(ValueError, match="metric = 'f1'"):
        get_curves_info(load(path), load_history(path), "f1")


def test_curves_of_nothing(make_sweep: Any) -> None:
    path = make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()])
    info = get_curves_info(load(path), load_history(path))
    assert info == CurvesInfo("train_accuracy", "mean", (), 0, 6)
    assert curves.caption(info) == "No finished cell has curves yet (of 6)."
    assert "No finished cell" in plot_curves(info).layout.annotations[0].text
    with pytest.raises(ValueError, match="history = None"):
        plot_curves(load(path))


def test_labels_are_spread_apart_in_their_order() -> None:
    assert theme.spread([0.5, 0.9], 0.1, 0, 1) == [0.5, 0.9]
    assert theme.spread([0.50, 0.52], 0.1, 0, 1) == pytest.approx([0.5, 0.6])
    assert theme.spread([1.0, 1.0, 0.99], 0.1, 0, 1) == pytest.approx([1.0, 0.9, 0.8])
    crowded = theme.spread([0.5] * 21, 0.1, 0, 1)
    assert min(crowded) == pytest.approx(0)
    assert max(crowded) == pytest.approx(1)
    assert theme.staggered(["0", ".5", ".9", ".95", ".99"], [0, 0.5, 0.9, 0.95, 0.99]) == [
        "0",
        ".5",
        ".9",
        "<br>.95",
        ".99",
    ]


def test_levels_keep_their_order_in_grey() -> None:
    def luminance(color: str) -> float:
        red, green, blue = (float(part) for part in color[4:-1].split(","))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    styles = theme.level_styles(5)
    shades = [luminance(style.color) for style in styles]
    assert shades == sorted(shades)
    assert len({style.symbol for style in styles}) == 5
    assert theme.text_color_on("rgb(0, 34, 78)") == theme.PAPER
    assert theme.text_color_on("rgb(254, 232, 56)") == theme.INK


def test_table_for_the_terminal(make_sweep: Any) -> None:
    text = format_summary(load(make_sweep()))
    assert max(map(len, text.splitlines())) < 100
    lines = text.splitlines()
    assert lines[2].split() == ["p", "dense", "S=0.5", "S=0.7", "S=0.8", "S=0.9", "S=0.95"]
    assert lines[7].split() == ["1", "1.000", "0.932", "0.618", "0.345", "0.148", "0.133"]
    assert lines[8].split()[-2:] == ["±0.050", "n3"]
    assert lines[-1] == "n = 3 seeds a point; 54 of 54 cells finished."


def test_table_marks_what_is_unfinished(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=SMALL,
            failures={"prune-p1.00-s42-dns-S0.900": "RuntimeError: boom\n  at line 3"},
            missing=["prune-p0.00-s42-dns-S0.900"],
        )
    )
    lines = format_summary(frame).splitlines()
    assert lines[3].split() == ["0", "1.000", "1.000", "1", "missing"]
    assert lines[5].split() == ["1", "1.000", "0.961", "1", "failed"]
    assert lines[-1] == "failed: prune-p1.00-s42-dns-S0.900: RuntimeError: boom"
    assert format_summary(rows_to_frame([])) == "The sweep has no cell yet."


def test_table_of_many_sparsities_is_broken_into_blocks(make_sweep: Any) -> None:
    sparsities = tuple(round(0.05 * index, 2) for index in range(1, 20))
    grid = Grid(randomizations=(0.0,), sparsities=sparsities, seeds=(1,))
    frame = load(make_sweep(grid=grid, accuracy=lambda cell: 0.5))
    text = format_summary(frame)
    assert max(map(len, text.splitlines())) < 100
    assert sum(line.lstrip().startswith("p ") for line in text.splitlines()) == 3
    assert len(summarize(frame).sparsities) == 20
