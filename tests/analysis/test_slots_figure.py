from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from analysis.attempts import Attempt, AttemptLog, Run
from analysis.figures import slots
from analysis.figures.slots import MAX_PANELS, SlotsInfo, drawn_runs, get_slots_info, plot_slots
from analysis.report import build_report
from analysis.slots import Bar, RunSlots
from rc_core.cells import Grid

T0 = 1767225600.0  # 2026-01-01 00:00 UTC
TRAIN = Attempt("train-p0.00-s42", None, "lab", T0, T0 + 10, "done")
PRUNE = Attempt("prune-p0.00-s42-dns-S0.500", 0.5, "lab", T0 + 10, T0 + 14, "done")
FAILED = Attempt("prune-p0.00-s42-dns-S0.900", 0.9, "lab", T0 + 11, T0 + 12, "failed", 2, 2)
LOST = FAILED._replace(started=T0 + 10.5, ended=None, outcome="lost", number=1)
RUNNING = Attempt("prune-p0.00-s42-dns-S0.950", 0.95, "lab", T0 + 14, T0 + 20, "running")
LOG = AttemptLog((TRAIN, PRUNE, LOST, FAILED, RUNNING), (Run(T0 - 5, None, 2),), 5, 1)


def test_info_holds_all_that_is_shown() -> None:
    # Window 0..14: slot 1 is busy for 10 + 4 seconds, slot 2 for 1.
    run = RunSlots(
        started=T0,
        window_seconds=14,
        num_slots=2,
        is_recorded=True,
        busy_seconds=15,
        slots=(("lab", 1), ("lab", 2)),
        bars=(Bar((TRAIN,), 0), Bar((PRUNE,), 0), Bar((LOST,), 1), Bar((FAILED,), 1), Bar((RUNNING,), 0)),
    )
    assert get_slots_info(LOG) == SlotsInfo(
        runs=(run,),
        utilisation=15 / 28,
        num_attempts=5,
        num_lost=1,
        num_failed=1,
        num_retried_cells=1,
        num_untimed=1,
        num_cells=5,
    )


def test_caption_tells_utilisation_n_and_what_is_missing() -> None:
    text = slots.caption(get_slots_info(LOG))
    assert "Slot utilisation over n = 5 attempts in 1 run: 0.536." in text
    assert "1 attempt failed (crossed bars). 1 attempt ended unrecorded" in text
    assert "1 of 5 cells took more than one attempt. 1 finished cells have no recorded times" in text
    assert "killed" not in text
    assert "The driver of 1 run was killed" in slots.caption(get_slots_info(LOG._replace(runs=())))
    one = slots.caption(get_slots_info(AttemptLog((TRAIN,), (), 1, 0)))
    assert "not defined: all cells of a run started at once" in one


def test_nothing_to_show() -> None:
    info = get_slots_info(AttemptLog((), (), 6, 0))
    assert info == SlotsInfo((), None, 0, 0, 0, 0, 0, 6)
    assert slots.caption(info) == "No start and end times are recorded yet (of 6 cells)."
    assert "No start and end times" in plot_slots(info).layout.annotations[0].text


def test_bars_stand_where_and_when_the_attempts_ran() -> None:
    figure = plot_slots(LOG)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces) == ["training", "S = 0.5", "failed", "running", "end unknown"]
    drawn = {name: (trace.base, trace.x, trace.y) for name, trace in traces.items() if trace.type == "bar"}
    assert drawn == {
        "training": ((0,), (10,), (0,)),
        "S = 0.5": ((10,), (4,), (0,)),
        "failed": ((11,), (1,), (1,)),
        "running": ((14,), (6,), (0,)),
    }
    assert (traces["end unknown"].x, traces["end unknown"].y) == ((10.5,), (1,))
    assert traces["failed"].customdata == (
        "prune-p0.00-s42-dns-S0.900<br>1.0 s, failed<br>attempt 2 of 2<br>lab, slot 2",
    )
    assert traces["training"].marker.pattern.shape == "/"  # told from prunings in grey, too
    assert figure.layout.shapes[0].x0 == 14  # the last start
    assert figure.layout.annotations[0].text == (
        "from 2026-01-01 00:00 UTC: 5 attempts, 2 slots, utilisation 0.536"
    )
    assert figure.layout.yaxis.ticktext == ("slot 1", "slot 2")


def stack_of(num_cells: int, started: float, **changes: Any) -> tuple[Attempt, ...]:
    alike = PRUNE._replace(started=started, ended=started + 8, stack=f"{round(started):08x}", **changes)
    return tuple(alike._replace(cell_id=f"prune-p0.00-s{seed}-dns-S0.500") for seed in range(num_cells))


def test_a_stack_is_one_bar_that_names_its_cells() -> None:
    stack = stack_of(3, T0 + 10)
    failed = stack[2]._replace(outcome="failed", number=2, num_attempts=2)
    log = AttemptLog((TRAIN, *stack[:2], failed), (Run(T0, None, 2),), 4, 0)
    figure = plot_slots(log)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces) == ["training", "failed"]
    bar = traces["failed"]
    assert (bar.base, bar.x, bar.y, bar.text) == ((10,), (8,), (0,), ("3 cells",))
    assert bar.customdata == (
        "stack of 3 cells<br>8.0 s, failed<br>prune-p0.00-s0-dns-S0.500: done"
        "<br>prune-p0.00-s1-dns-S0.500: done"
        "<br>prune-p0.00-s2-dns-S0.500: failed, attempt 2 of 2<br>lab, slot 1",
    )
    assert traces["training"].text is None
    assert figure.layout.annotations[0].text == (
        "from 2026-01-01 00:00 UTC: 4 attempts in 2 bars, 2 slots, utilisation 0.500"
    )
    text = slots.caption(get_slots_info(log))
    assert "1 bar is a stack: cells trained together in one process; their time counts once." in text
    assert "1 attempt failed" in text


def test_stacks_are_coloured_by_their_sparsity_where_they_have_one() -> None:
    other = stack_of(1, T0 + 20, sparsity=0.9)[0]._replace(cell_id="other")
    mixed = (*stack_of(1, T0 + 20), other)
    log = AttemptLog((*stack_of(2, T0), *stack_of(20, T0 + 10, sparsity=0.9), *mixed), (), 24, 0)
    traces = {trace.name: trace for trace in plot_slots(log).data}
    assert {name: trace.text for name, trace in traces.items()} == {
        "S = 0.5": ("2 cells",),
        "S = 0.9": ("20 cells",),
        "several S": ("2 cells",),
    }
    # Of many cells the first are listed.
    (hover,) = traces["S = 0.9"].customdata
    assert hover.count("prune-p0.00-s") == 16
    assert hover.endswith("<br>and 4 more<br>lab, slot 1")


def resumed(num_runs: int, num_cells: int = 2, pause_seconds: float = 36_000) -> AttemptLog:
    attempts, runs = [], []
    for number in range(num_runs):
        begin = T0 + number * pause_seconds
        attempts += [
            PRUNE._replace(cell_id=f"{number}-{cell}", started=begin + 5 * cell, ended=begin + 5 * cell + 5)
            for cell in range(num_cells + number % 2)
        ]
        runs.append(Run(begin - 1, begin + 5 * num_cells + 9, 1))
    return AttemptLog(tuple(attempts), tuple(runs), len(attempts), 0)


def test_a_resumed_sweep_has_a_panel_per_run_with_a_time_axis_of_its_own() -> None:
    layout = plot_slots(resumed(3)).layout
    assert [note.text for note in layout.annotations] == [
        "run 1 of 3, from 2026-01-01 00:00 UTC: 2 attempts, 1 slot, utilisation 1.000",
        "run 2 of 3, from 2026-01-01 10:00 UTC: 3 attempts, 1 slot, utilisation 1.000",
        "run 3 of 3, from 2026-01-01 20:00 UTC: 2 attempts, 1 slot, utilisation 1.000",
    ]
    axes = [layout.xaxis, layout.xaxis2, layout.xaxis3]
    assert [axis.range[1] for axis in axes] == pytest.approx([10.1, 15.15, 10.1])
    domains = [axis.domain for axis in (layout.yaxis, layout.yaxis2, layout.yaxis3)]
    assert all(upper[0] > lower[1] for upper, lower in pairwise(domains))
    legend = [trace.name for trace in plot_slots(resumed(3)).data if trace.showlegend]
    assert legend == ["S = 0.5"]


def test_of_many_runs_those_with_the_most_attempts_are_drawn() -> None:
    info = get_slots_info(resumed(25))
    # 12 runs of 25 have 3 attempts, the odd ones.
    assert drawn_runs(info.runs) == list(range(1, 25, 2))
    assert f"Drawn are the {MAX_PANELS} of 25 runs with the most attempts." in slots.caption(info)
    assert len(plot_slots(info).layout.annotations) == MAX_PANELS


def test_a_thousand_cells_on_many_hosts_stay_within_bounds() -> None:
    attempts = tuple(
        PRUNE._replace(
            cell_id=f"c{index}",
            host=f"node-{index % 12}.cluster.example",
            started=T0 + index,
            ended=T0 + index + 45,
        )
        for index in range(1000)
    )
    figure = plot_slots(AttemptLog(attempts, (Run(T0, None, 48),), 1000, 0))
    assert sum(len(trace.x) for trace in figure.data) == 1000
    assert figure.layout.yaxis.ticktext == tuple(f"node-{number} (4)" for number in range(12))
    assert figure.layout.height < 700
    assert figure.layout.xaxis.title.text == "minutes since the run's first start"


def test_the_figure_is_in_the_report(make_sweep: Any) -> None:
    html = build_report(make_sweep(grid=Grid(randomizations=(0.0,), sparsities=(0.5,), seeds=(42,))))
    assert "<h3>Slots over time</h3>" in html
    assert 'id="figure-slots"' in html
