"""When and where every attempt at a cell ran, and the runs of the sweep: what the slots figure rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from analysis.cell_table import read_cell_table
from rc_core.cell_states import CellState
from rc_core.experiment import DRIVER_FILE, SweepSpec, read_driver, read_json
from rc_core.provenance import unix_seconds
from rc_core.storage import Storage, open_storage

Outcome = Literal["done", "failed", "running", "lost"]


class Attempt(NamedTuple):
    """One attempt at a cell.

    Attributes:
        cell_id: of the cell.
        sparsity: target; None for a training.
        host: where it ran.
        started: Unix time in seconds.
        ended: Unix time; of a running attempt, the driver's last sign of life. None: nobody recorded the end.
        outcome: `lost` where the end is not recorded: its process died, or it was asked to stop.
        number: 1 for the cell's first attempt.
        num_attempts: of the cell, so far.
        stack: equal for attempts at cells that were trained together in one process; None for a cell alone.
    """

    cell_id: str
    sparsity: float | None
    host: str
    started: float
    ended: float | None
    outcome: Outcome
    number: int = 1
    num_attempts: int = 1
    stack: str | None = None


class Run(NamedTuple):
    """One life of a driver.

    Attributes:
        started: Unix time in seconds; None where an older version did not record it.
        ended: Unix time; None while it lives, and where it was killed.
        num_slots: cells that could run at a time, counted when it began.
    """

    started: float | None
    ended: float | None
    num_slots: int


class AttemptLog(NamedTuple):
    """All attempts of an experiment.

    Attributes:
        attempts: by start.
        runs: recorded ones, in order. A driver that was killed leaves none, unless it was the last one.
        num_cells: cells of the sweep.
        num_untimed: finished cells whose times are not recorded.
    """

    attempts: tuple[Attempt, ...]
    runs: tuple[Run, ...]
    num_cells: int
    num_untimed: int


def load_attempts(location: str | Path | Storage) -> AttemptLog:
    """The attempts and runs of an experiment; single cells without a sweep have neither.

    Args:
        location: as of `analysis.results.load`.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
    """
    storage = open_storage(location) if isinstance(location, str | Path) else location
    spec = SweepSpec.read(storage)
    states = _states_of_table(read_cell_table(storage))
    if spec is None:
        return AttemptLog((), (), len(states), 0)
    driver, living = read_json(storage, DRIVER_FILE), read_driver(storage)
    attempts = [
        attempt for state in states for attempt in attempts_of_cell(state, living["time"] if living else None)
    ]
    num_untimed = sum(state.row["status"] == "done" and not state.attempts for state in states)
    return AttemptLog(
        tuple(sorted(attempts, key=lambda attempt: (attempt.started, attempt.cell_id))),
        runs_of_sweep(spec.provenance.get("runs", []), driver),
        len(states),
        num_untimed,
    )


def attempts_of_cell(state: CellState, alive_seconds: float | None = None) -> list[Attempt]:
    """The attempts of one cell.

    Args:
        state: of the cell.
        alive_seconds: Unix time of a living driver's last heartbeat.
    """
    row, num_attempts = state.row, len(state.attempts)
    attempts = []
    for number, begun in enumerate(state.attempts, 1):
        started = unix_seconds(begun["started"])
        ended: float | None = None
        outcome: Outcome = "lost"
        if number == num_attempts:
            if state.ended is not None and row["status"] in ("done", "failed"):
                ended, outcome = unix_seconds(state.ended), row["status"]
            elif row["status"] == "running" and alive_seconds is not None:
                ended, outcome = alive_seconds, "running"
            if ended is not None and ended < started:  # a failure of an earlier attempt, or a clock set back
                ended, outcome = (None, "lost") if outcome == "failed" else (started, outcome)
        attempts.append(
            Attempt(
                row["cell_id"],
                row["sparsity_target"],
                begun.get("host") or "unknown host",
                started,
                ended,
                outcome,
                number,
                num_attempts,
                begun.get("stack"),
            )
        )
    return attempts


def runs_of_sweep(recorded: list[Mapping[str, Any]], driver: Mapping[str, Any] | None) -> tuple[Run, ...]:
    """The runs that are known.

    Args:
        recorded: `runs` of the sweep's provenance, each written when its driver ended.
        driver: content of `driver.json`: tells of the last driver, also when that one lives or was killed.
    """
    runs = [
        Run(
            unix_seconds(run["started"]) if run.get("started") else None,
            unix_seconds(run["ended"]),
            run["num_slots"],
        )
        for run in recorded
    ]
    if driver is not None and "num_slots" in driver:
        is_recorded = any(run.ended is not None and driver["started"] <= run.ended for run in runs)
        if not is_recorded:
            runs.append(Run(driver["started"], None, driver["num_slots"]))
    return tuple(runs)


def _states_of_table(table: pa.Table) -> list[CellState]:
    """States with as much of their rows as attempts need."""
    names = ("cell_id", "status", "sparsity_target", "attempts", "ended")
    states = []
    for cell_id, status, sparsity, attempts, ended in zip(
        *(table[name].to_pylist() for name in names), strict=True
    ):
        target = None if sparsity is None or math.isnan(sparsity) else sparsity
        row = {"cell_id": cell_id, "status": status, "sparsity_target": target}
        states.append(CellState(row, tuple(json.loads(attempts)), ended))
    return states
