from __future__ import annotations

from typing import Any

from analysis.figures import grid_heatmap, theme
from analysis.figures.grid_heatmap import cell_text, get_grid_heatmap_info, plot_grid_heatmap
from analysis.grid import GridCell, SeedValue
from analysis.results import load, rows_to_frame
from analysis.statistics import Interval
from rc_core.cells import Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
NONE = Interval(None, None, None, 0)


def one(value: float) -> Interval:
    return Interval(value, None, None, 1)


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


def test_squares_tell_mean_half_width_and_seeds(make_sweep: Any) -> None:
    failed = {f"prune-p1.00-s{seed}-dns-S0.900": "boom" for seed in (42, 43)}
    missing = [f"prune-p0.00-s{seed}-dns-S0.900" for seed in (42, 43)]
    info = get_grid_heatmap_info(load(make_sweep(grid=PAIR, failures=failed, missing=missing)))
    figure = plot_grid_heatmap(info)
    # p = 1, S = .5: .961 and .985, mean .973, half width 12.706205 * .012 = .152
    assert [note.text for note in figure.layout.annotations] == [
        "<b>1.000</b><br>±0.000<br>n = 2/2",
        "<b>1.000</b><br>±0.000<br>n = 2/2",
        "○ 2<br>missing",
        "<b>1.000</b><br>±0.000<br>n = 2/2",
        "<b>0.973</b><br>±0.152<br>n = 2/2",
        "✕ 2<br>failed",
    ]
    assert [trace.fillpattern.shape for trace in figure.data[1:]] == ["/", "x"]
    assert [figure.layout.annotations[index].font.color for index in (2, 5)] == [theme.MUTED, theme.BAD]
    assert "2 failed, 2 missing" in grid_heatmap.caption(info)


def test_squares_of_what_is_partly_there() -> None:
    def cell(num_done: int, num_running: int, num_failed: int, num_missing: int, *values: float) -> GridCell:
        seeds = tuple(SeedValue(seed, value, None) for seed, value in enumerate(values))
        interval = one(values[0]) if values else NONE
        num_seeds = num_done + num_running + num_failed + num_missing
        return GridCell(0.5, 0.9, seeds, interval, num_seeds, num_done, num_running, num_failed, num_missing)

    assert cell_text(cell(1, 0, 1, 1, 0.25)) == "<b>0.250</b><br>n = 1/3 ✕ ○"
    assert cell_text(cell(0, 1, 2, 0)) == "✕ 2<br>failed<br>▶ 1<br>running"
    assert cell_text(cell(0, 1, 2, 3)) == "✕ 2<br>▶ 1<br>○ 3"
    assert cell_text(cell(2, 0, 0, 1)) == "not<br>defined"
    assert cell_text(cell(0, 0, 0, 0)) == "not in<br>the grid"


def test_grids_that_do_not_cover_each_other(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=SMALL))
    frame = frame[~((frame["randomization"] == 0.0) & (frame["sparsity_target"] == 0.5))]
    figure = plot_grid_heatmap(frame)
    assert figure.layout.annotations[1].text == "not in<br>the grid"
    assert [trace.fillpattern.shape for trace in figure.data[1:]] == ["."]


def test_nothing_asked_for() -> None:
    assert "no cell yet" in plot_grid_heatmap(rows_to_frame([])).layout.annotations[0].text


def test_many_columns_have_smaller_texts(make_sweep: Any) -> None:
    def size(num_sparsities: int) -> float:
        sparsities = tuple(round(0.04 * (index + 1), 2) for index in range(num_sparsities))
        grid = Grid(randomizations=(0.0,), sparsities=sparsities, seeds=(1,))
        frame = load(make_sweep(f"of-{num_sparsities}", grid, accuracy=lambda cell: 0.5))
        return float(plot_grid_heatmap(frame).layout.annotations[0].font.size)

    assert [size(number) for number in (8, 9, 12, 20)] == [12, 10, 10, 9]
