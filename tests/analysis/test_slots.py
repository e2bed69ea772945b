"""Packing attempts into slots, and slot utilisation; every expected number is worked out by hand."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.attempts import Attempt, AttemptLog, Run, attempts_of_cell, load_attempts, runs_of_sweep
from analysis.slots import Bar, RunSlots, pack, pack_runs, stack_attempts, utilisation
from rc_core.cell_states import CellState
from rc_core.cells import Grid, PruneCell, TrainCell
from rc_core.experiment import empty_row
from rc_core.recipes import preset

SMALL = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42,))
RECIPE = preset("digits").recipe
TRAIN = TrainCell(randomization=0.0, seed=42)
PRUNE = PruneCell(randomization=0.0, seed=42, sparsity=0.5)


def attempt(cell_id: str, started: float, ended: float | None, host: str = "a", **changes: Any) -> Attempt:
    outcome = "lost" if ended is None else "done"
    return Attempt(cell_id, None, host, started, ended, outcome)._replace(**changes)


def log_of(*attempts: Attempt, runs: tuple[Run, ...] = ()) -> AttemptLog:
    return AttemptLog(tuple(sorted(attempts, key=lambda one: one.started)), runs, len(attempts), 0)


@pytest.mark.parametrize(
    ("intervals", "slots"),
    [
        ([], []),
        ([(0, 5)], [0]),
        ([(0, 5), (5, 7), (9, 12)], [0, 0, 0]),  # one after the other, then a gap
        ([(0, 10), (1, 4), (5, 8), (10, 12)], [0, 1, 1, 0]),
        ([(10, 12), (5, 8), (1, 4), (0, 10)], [0, 1, 1, 0]),  # the order of the arguments does not matter
        ([(0, 10), (0, 10), (0, 10)], [0, 1, 2]),
        ([(0, 10), (0, 4), (5, 6)], [0, 1, 1]),
        # The lowest free one: at 6 both are free.
        ([(0, 5), (0, 6), (6, 7)], [0, 1, 0]),
        # Clock error: .3 s of two intervals of 10 s; but not .6 s, nor a fifth of a short interval.
        ([(0, 10), (9.7, 20)], [0, 0]),
        ([(0, 10), (9.4, 20)], [0, 1]),
        ([(0, 10), (9.8, 10.8)], [0, 1]),
        ([(0, 10), (9.95, 10.95)], [0, 0]),
        # A slot that is really free goes before one that is free within the clock error.
        ([(0, 10), (0, 9), (9.9, 20)], [0, 1, 1]),
        # An attempt without a known end holds its slot for no time.
        ([(0, 10), (2, 2), (3, 8)], [0, 1, 1]),
    ],
)
def test_intervals_get_the_lowest_free_slot(intervals: list[Any], slots: list[int]) -> None:
    assert pack(intervals) == slots


TIMES = st.integers(min_value=0, max_value=60)


@given(st.lists(st.tuples(TIMES, st.integers(min_value=1, max_value=20)), max_size=30))
def test_packing_needs_as_many_slots_as_run_at_a_time(begun: list[tuple[int, int]]) -> None:
    intervals = [(float(start), float(start + seconds)) for start, seconds in begun]
    slots = pack(intervals)
    at_a_time = max((sum(s <= start < e for s, e in intervals) for start, _ in intervals), default=0)
    assert len(set(slots)) == at_a_time
    assert set(slots) == set(range(at_a_time))
    for slot in set(slots):
        inside = sorted(interval for interval, place in zip(intervals, slots, strict=True) if place == slot)
        assert all(first[1] <= second[0] for first, second in pairwise(inside))


def test_utilisation_of_two_slots_by_hand() -> None:
    # Slot 1: 100-104, 105-110; slot 2: 100-108, 109-120. The last start is 109; from then on nothing is left.
    # Busy in 100..109: 4 + 4 and 8 + 0 = 16 of 2 * 9 seconds.
    cells = [
        attempt("a", 100, 104),
        attempt("b", 100, 108),
        attempt("c", 105, 110),
        attempt("d", 109, 120),
    ]
    (run,) = pack_runs(log_of(*cells, runs=(Run(95.0, 125.0, 2),)))
    assert run == RunSlots(
        started=100,
        window_seconds=9,
        num_slots=2,
        is_recorded=True,
        busy_seconds=16,
        slots=(("a", 1), ("a", 2)),
        bars=(Bar((cells[0],), 0), Bar((cells[1],), 1), Bar((cells[2],), 0), Bar((cells[3],), 1)),
    )
    assert run.utilisation == pytest.approx(16 / 18)
    assert run.seconds == 20


def test_a_slot_that_was_never_used_counts_as_idle() -> None:
    (run,) = pack_runs(log_of(attempt("a", 0, 4), attempt("b", 4, 6), runs=(Run(0.0, 9.0, 2),)))
    assert run.slots == (("a", 1),)
    assert run.utilisation == pytest.approx(4 / 8)


def test_hosts_have_slots_of_their_own() -> None:
    # One after the other in time, yet on two machines: two slots, on two lines.
    cells = [
        attempt("a", 0, 4, "x"),
        attempt("b", 4, 8, "y"),
        attempt("c", 5, 9, "y"),
        attempt("d", 8, 9, "x"),
    ]
    (run,) = pack_runs(log_of(*cells, runs=(Run(0.0, 9.0, 3),)))
    assert run.slots == (("x", 1), ("y", 1), ("y", 2))
    assert [bar.slot for bar in run.bars] == [0, 1, 2, 0]
    assert run.utilisation == pytest.approx((4 + 4 + 3) / (3 * 8))


def test_overlap_within_the_clock_error_is_counted_once() -> None:
    # .2 s of overlap in one slot: the union is 0..10, then 10..19 up to the last start.
    cells = [attempt("a", 0, 10), attempt("b", 9.8, 19), attempt("c", 19, 20)]
    (run,) = pack_runs(log_of(*cells, runs=(Run(0.0, 20.0, 1),)))
    assert (run.num_slots, run.slots, run.busy_seconds) == (1, (("a", 1),), 19)
    assert run.utilisation == 1.0


def test_nodes_that_join_count_from_the_start() -> None:
    cells = [attempt("a", 0, 10), attempt("b", 5, 10, "new"), attempt("c", 10, 12)]
    (run,) = pack_runs(log_of(*cells, runs=(Run(0.0, 12.0, 1),)))
    assert run.num_slots == 2  # the driver counted 1 when it began
    assert run.utilisation == pytest.approx(15 / 20)


def test_a_lost_attempt_is_no_busy_time_and_its_retry_is() -> None:
    cells = [
        attempt("a", 0, 10),
        attempt("b", 0, None, num_attempts=2),
        attempt("b", 3, 9, number=2, num_attempts=2),
        attempt("c", 9, 12),
    ]
    (run,) = pack_runs(log_of(*cells, runs=(Run(0.0, 12.0, 2),)))
    assert [(bar.attempts[0].cell_id, bar.slot) for bar in run.bars] == [
        ("a", 0),
        ("b", 1),
        ("b", 1),
        ("c", 1),
    ]
    assert run.utilisation == pytest.approx((9 + 6) / 18)


def test_a_run_without_any_known_end_has_no_utilisation() -> None:
    killed = [attempt("a", 0, None), attempt("b", 3, None)]
    resumed = [attempt("a", 20, 30), attempt("b", 25, 30), attempt("c", 30, 31)]
    packed = pack_runs(log_of(*killed, *resumed, runs=(Run(19.0, 40.0, 2),)))
    assert [run.utilisation for run in packed] == [None, pytest.approx(15 / 20)]
    assert utilisation(packed) == pytest.approx(15 / 20)


def test_a_resumed_sweep_has_a_part_per_run_and_the_pause_counts_for_nothing() -> None:
    runs = (Run(0.0, 20.0, 2), Run(36_000.0, 36_010.0, 1))
    first = [attempt("a", 1, 9), attempt("b", 1, 5), attempt("c", 6, 20), attempt("d", 9, 10)]
    second = [attempt("e", 36_001, 36_004), attempt("f", 36_005, 36_010)]
    packed = pack_runs(log_of(*first, *second, runs=runs))
    assert [(run.started, run.window_seconds, run.num_slots) for run in packed] == [(1, 8, 2), (36_001, 4, 1)]
    # 8 + (4 + 3) of 16; 3 of 4
    assert [run.utilisation for run in packed] == pytest.approx([15 / 16, 3 / 4])
    assert utilisation(packed) == pytest.approx((15 + 3) / (16 + 4))


def test_runs_of_killed_drivers_are_told_apart_by_their_pauses() -> None:
    # Two killed drivers before the only one that was recorded, and one between that and a living one.
    runs = (Run(1000.0, 1100.0, 4), Run(5000.0, None, 2))
    starts = (0, 30, 500, 540, 1001, 1050, 2000, 5001)
    cells = [attempt(str(start), start, start + 20) for start in starts]
    packed = pack_runs(log_of(*cells, runs=runs))
    assert [[bar.attempts[0].started for bar in run.bars] for run in packed] == [
        [0, 30],
        [500, 540],
        [1001, 1050],
        [2000],
        [5001],
    ]
    assert [run.is_recorded for run in packed] == [False, False, True, False, True]
    assert [run.num_slots for run in packed] == [1, 1, 4, 1, 2]


def test_an_old_run_without_its_start_reaches_back_to_the_one_before() -> None:
    runs = (Run(None, 100.0, 2), Run(None, 9000.0, 2))
    cells = [attempt("a", 1, 50), attempt("b", 99, 100), attempt("c", 5000, 5050), attempt("d", 8000, 8100)]
    packed = pack_runs(log_of(*cells, runs=runs))
    assert [[bar.attempts[0].cell_id for bar in run.bars] for run in packed] == [["a", "b"], ["c", "d"]]


def test_one_cell_and_none() -> None:
    (run,) = pack_runs(log_of(attempt("a", 5, 9), runs=(Run(0.0, 10.0, 2),)))
    assert (run.window_seconds, run.utilisation, run.seconds) == (0, None, 4)
    assert pack_runs(log_of(runs=(Run(0.0, 10.0, 2),))) == ()
    assert utilisation([]) is None


def test_a_stack_is_one_bar_and_its_time_counts_once() -> None:
    # Three cells trained together from 0 to 10 (their records are written one after another), then a cell
    # alone in that slot; beside them two cells one after the other. The last start is 10.25.
    cells = [
        attempt("a", 0, 9.5, stack="0123abcd"),
        attempt("b", 0, 9.75, stack="0123abcd"),
        attempt("c", 0.25, 10, stack="0123abcd"),
        attempt("d", 1, 6),
        attempt("e", 7, 12),
        attempt("f", 10.25, 14),
    ]
    (run,) = pack_runs(log_of(*cells, runs=(Run(0.0, 15.0, 2),)))
    assert (
        run
        == RunSlots(
            started=0,
            window_seconds=10.25,
            num_slots=2,  # not 4
            is_recorded=True,
            busy_seconds=10 + 5 + 3.25,
            slots=(("a", 1), ("a", 2)),
            bars=(
                Bar(tuple(cells[:3]), 0),
                Bar((cells[3],), 1),
                Bar((cells[4],), 1),
                Bar((cells[5],), 0),
            ),
        )
    )
    assert run.utilisation == pytest.approx(18.25 / 20.5)
    assert (run.num_attempts, run.num_stacks, run.seconds) == (6, 1, 14)
    assert [(bar.started, bar.ended) for bar in run.bars] == [(0, 10), (1, 6), (7, 12), (10.25, 14)]


def test_what_belongs_to_one_stack() -> None:
    first = [attempt(name, 0, None, stack="s") for name in "ab"]
    elsewhere = attempt("c", 1, 5, host="b", stack="s")
    alone = attempt("d", 2, 5)
    # The same stack tried again after its process died; c has joined it.
    again = [attempt(name, 3, 8, stack="s", number=2) for name in "ab"] + [attempt("c", 3, 8, stack="s")]
    assert stack_attempts([*first, elsewhere, alone, *again]) == [
        tuple(first),
        (elsewhere,),
        (alone,),
        tuple(again),
    ]
    assert stack_attempts([]) == []


@pytest.mark.parametrize(
    ("ends", "ended", "outcome"),
    [
        ([(5, "done"), (6, "done")], 6, "done"),
        ([(5, "done"), (6, "failed")], 6, "failed"),  # one diverged
        ([(5, "done"), (None, "lost")], 5, "done"),  # killed between two records
        ([(9, "running"), (9, "running"), (2, "done")], 9, "running"),
        ([(None, "lost"), (None, "lost")], None, "lost"),
    ],
)
def test_a_stack_ends_with_its_last_cell_and_hides_no_failure(
    ends: list[Any], ended: float | None, outcome: str
) -> None:
    attempts = tuple(attempt(str(end), 0, end, outcome=how) for end, how in ends)
    bar = Bar(attempts, 0)
    assert (bar.ended, bar.outcome) == (ended, outcome)


# Reading


def test_the_attempts_of_a_done_a_failed_a_running_and_an_orphaned_cell() -> None:
    begun = [
        {"started": "2026-01-01T00:00:00.500+00:00", "host": "a", "pid": 1},
        {"started": "2026-01-01T00:01:00.000+00:00", "host": "b", "pid": 2},
    ]
    t0 = 1767225600.0
    first = Attempt(PRUNE.cell_id, 0.5, "a", t0 + 0.5, None, "lost", 1, 2)

    def second(status: str, ended: str | None, alive: float | None = None) -> Attempt:
        row = empty_row(PRUNE, RECIPE) | {"status": status}
        found = attempts_of_cell(CellState(row, tuple(begun), ended), alive)
        assert found[0] == first
        return found[1]

    expected = Attempt(PRUNE.cell_id, 0.5, "b", t0 + 60, None, "lost", 2, 2)
    at_90 = "2026-01-01T00:01:30+00:00"
    assert second("done", at_90) == expected._replace(ended=t0 + 90, outcome="done")
    assert second("failed", at_90) == expected._replace(ended=t0 + 90, outcome="failed")
    assert second("running", None, t0 + 70) == expected._replace(ended=t0 + 70, outcome="running")
    assert second("missing", None, t0 + 70) == expected
    # The failure is the first attempt's: the second one was killed.
    assert second("failed", "2026-01-01T00:00:10+00:00") == expected
    assert attempts_of_cell(CellState(empty_row(TRAIN, RECIPE))) == []


def test_an_attempt_says_of_which_stack_it_was() -> None:
    begun = {"started": "2026-01-01T00:00:00+00:00", "host": "a", "pid": 1}
    state = CellState(empty_row(PRUNE, RECIPE), (begun, begun | {"stack": "0a1b2c3d"}))
    assert [found.stack for found in attempts_of_cell(state)] == [None, "0a1b2c3d"]


def test_runs_are_those_recorded_and_the_last_driver_s() -> None:
    recorded = [
        {"ended": "2026-01-01T00:00:10+00:00", "num_slots": 2},  # an older version: no start
        {
            "started": "2026-01-01T01:00:00.000+00:00",
            "ended": "2026-01-01T02:00:00.000+00:00",
            "num_slots": 4,
        },
    ]
    t0 = 1767225600.0
    known = (Run(None, t0 + 10, 2), Run(t0 + 3600, t0 + 7200, 4))
    assert runs_of_sweep(recorded, None) == known
    assert runs_of_sweep(recorded, {"started": t0 + 3601, "num_slots": 4}) == known
    killed = {"started": t0 + 9000, "num_slots": 8}
    assert runs_of_sweep(recorded, killed) == (*known, Run(t0 + 9000, None, 8))
    assert runs_of_sweep([], None) == ()


def write_times(path: Path, cell_id: str, started: str, ended: str, **changes: str) -> None:
    file = path / cell_id / "record.json"
    record = json.loads(file.read_text())
    begun = {"started": f"2026-01-01T{started}+00:00", "host": "lab", "pid": 1} | changes
    record["provenance"] |= begun | {"ended": f"2026-01-01T{ended}+00:00", "attempts": [begun]}
    file.write_text(json.dumps(record))


def test_the_log_of_a_folder(make_sweep: Any) -> None:
    path = make_sweep(grid=SMALL)
    write_times(path, "train-p0.00-s42", "00:00:00.000", "00:00:05.000")
    write_times(path, "prune-p0.00-s42-dns-S0.500", "00:00:05.250", "00:00:08.000", stack="0a1b2c3d")
    spec = json.loads((path / "sweep.json").read_text())
    spec["provenance"]["runs"] = [
        {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:00+00:00", "num_slots": 1}
    ]
    (path / "sweep.json").write_text(json.dumps(spec))
    t0 = 1767225600.0
    assert load_attempts(path) == AttemptLog(
        attempts=(
            Attempt("train-p0.00-s42", None, "lab", t0, t0 + 5, "done"),
            Attempt("prune-p0.00-s42-dns-S0.500", 0.5, "lab", t0 + 5.25, t0 + 8, "done", stack="0a1b2c3d"),
        ),
        runs=(Run(t0, t0 + 60, 1),),
        num_cells=3,
        num_untimed=1,
    )
    # 5 of 5.25 seconds
    assert utilisation(pack_runs(load_attempts(path))) == pytest.approx(5 / 5.25)
    assert load_attempts(make_sweep("loose", SMALL, with_spec=False)) == AttemptLog((), (), 3, 0)
