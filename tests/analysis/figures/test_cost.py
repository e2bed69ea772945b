from __future__ import annotations

from typing import Any

import pytest

from analysis.attempts import Attempt, AttemptLog
from analysis.device_time import KindTime, RetryCounts
from analysis.figures.cost import caption, get_cost_info, plot_cost, time_text, time_unit
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

ONE = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
LOG = AttemptLog(
    tuple(
        Attempt(cell_id, None, "lab", 0.0, None, outcome, number, num_attempts)
        for cell_id, number, num_attempts, outcome in (
            ("a", 1, 1, "done"),
            ("b", 1, 2, "lost"),
            ("b", 2, 2, "done"),
        )
    ),
    (),
    num_cells=2,
    num_untimed=0,
)


def test_cost_of_one_seed(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=ONE, changes={"train-p0.00-s42": {"wall_seconds": 12.0}}))
    info = get_cost_info(frame, LOG)
    steps = [cell.interval.mean for cell in info.step_milliseconds.summary.cells]
    # 600 training steps in 12 s and in 2.5 s, 500 pruning steps in 2.5 s
    assert steps == pytest.approx([20.0, 5.0, 5.0, 25 / 6, 5.0, 5.0])
    assert [cell.interval.mean for cell in info.cell_time.summary.cells] == [12.0, 2.5, 2.5, 2.5, 2.5, 2.5]
    assert info.unit == "seconds"
    assert info.kinds == (KindTime(None, 2, 14.5), KindTime(0.5, 2, 5.0), KindTime(0.9, 2, 5.0))
    assert info.retries == RetryCounts(((1, 1), (2, 1)), 0, 1)
    assert info.device_seconds == 24.5
    assert "24.5 s for n = 6 finished cells" in caption(info)
    assert "1 retries; of all attempts 0 failed and 1 ended unrecorded" in caption(info)


def test_bars_carry_their_numbers(make_sweep: Any) -> None:
    figure = plot_cost(load(make_sweep(grid=ONE)), LOG)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [list(bar.text) for bar in bars] == [["5.0 s, n = 2"] * 3, ["1 cell", "1 cell"]]
    assert bars[0].x == pytest.approx([1 / 3] * 3)
    ticks = [figure.layout[bar.yaxis.replace("y", "yaxis")].ticktext for bar in bars]
    assert ticks == [("training", "S = 0.5", "S = 0.9"), ("1 attempt", "2 attempts")]
    without = plot_cost(load(make_sweep("other", ONE)))
    assert len([trace for trace in without.data if trace.type == "bar"]) == 1


def test_full_sweep_in_minutes(make_sweep: Any) -> None:
    frame = load(make_sweep())
    frame["wall_seconds"] = 600.0
    info = get_cost_info(frame)
    assert info.unit == "minutes"
    assert info.cell_time.title == "minutes a cell"
    assert {cell.interval.mean for cell in info.cell_time.summary.cells} == {10.0}
    assert info.device_seconds == 54 * 600
    assert "9.0 h for n = 54 finished cells" in caption(info)


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    frame = load(
        make_sweep(grid=ONE, failures={"train-p1.00-s42": "boom"}, missing=["prune-p0.00-s42-dns-S0.900"])
    )
    info = get_cost_info(frame)
    assert info.kinds == (KindTime(None, 1, 2.5), KindTime(0.5, 1, 2.5))
    assert info.retries is None
    assert "2 of 6 cells finished (3 failed, 1 missing" in caption(info)


def test_nothing_to_show(make_sweep: Any) -> None:
    unstarted = load(make_sweep(grid=ONE, missing=[cell.cell_id for cell in ONE.cells()]))
    for frame in (rows_to_frame([]), unstarted):
        assert get_cost_info(frame).kinds == ()
        figure = plot_cost(frame)
        assert len(figure.data) == 0
        assert "No finished cell" in figure.layout.annotations[0].text


def test_units() -> None:
    assert [time_unit(seconds)[0] for seconds in (0, 300, 301, 18_000, 18_001)] == [
        "seconds",
        "seconds",
        "minutes",
        "minutes",
        "hours",
    ]
    assert [time_text(seconds) for seconds in (12.34, 330, 36_000)] == ["12.3 s", "5.5 min", "10.0 h"]
