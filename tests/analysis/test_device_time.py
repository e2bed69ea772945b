from __future__ import annotations

from typing import Any

from analysis.attempts import Attempt, AttemptLog, Outcome
from analysis.device_time import KindTime, RetryCounts, count_retries, time_by_kind
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))


def test_time_by_kind_sums_finished_cells_only(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=PAIR,
            failures={"prune-p1.00-s43-dns-S0.900": "boom"},
            changes={"train-p0.00-s42": {"wall_seconds": 10.0}},
        )
    )
    assert time_by_kind(frame) == (
        KindTime(None, 4, 17.5),
        KindTime(0.5, 4, 10.0),
        KindTime(0.9, 3, 7.5),
    )
    assert time_by_kind(rows_to_frame([])) == ()


def attempt(cell_id: str, number: int, num_attempts: int, outcome: Outcome) -> Attempt:
    return Attempt(cell_id, None, "lab", 0.0, None, outcome, number, num_attempts)


def test_retries() -> None:
    log = AttemptLog(
        (
            attempt("a", 1, 1, "done"),
            attempt("b", 1, 3, "lost"),
            attempt("b", 2, 3, "lost"),
            attempt("b", 3, 3, "done"),
            attempt("c", 1, 1, "failed"),
        ),
        (),
        num_cells=4,
        num_untimed=0,
    )
    found = count_retries(log)
    assert found == RetryCounts(((1, 2), (3, 1)), num_failed=1, num_lost=2)
    assert found.num_retries == 2
    assert count_retries(AttemptLog((), (), 4, 0)) == RetryCounts((), 0, 0)
