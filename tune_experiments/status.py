"""What storage says of a sweep: counts, driver, pace, what failed, what was cut short, and the way on.

Light on purpose: `rcsweep status` imports neither torch nor Ray nor pandas.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rc_core.cell_states import CellState, read_states
from rc_core.durations import format_seconds
from rc_core.experiment import (
    DRIVER_FILE,
    FAILED_STATUSES,
    STATUSES,
    SweepSpec,
    read_driver,
    read_json,
)
from rc_core.provenance import unix_seconds
from rc_core.storage import Storage
from rc_core.watched_states import WatchedStates

# Cells listed of each kind; all of them are in the JSON.
MAX_LISTED = 20


class SweepStatus(NamedTuple):
    """One look at a sweep.

    Attributes:
        location: of the experiment.
        states: of every cell, in grid order.
        driver: the last driver's heartbeat, whether it lives or not; None where none ever ran.
        driver_state: `alive`, `ended` (it said so), `silent` (killed, or cut off from storage) or `none`.
        command: the last command that ran cells; empty where that is not recorded.
        now_seconds: time of the look, Unix time.
    """

    location: str
    states: list[CellState]
    driver: dict[str, Any] | None
    driver_state: str
    command: str
    now_seconds: float

    @property
    def counts(self) -> dict[str, int]:
        """Cells by status; every status is there."""
        found = [state.row["status"] for state in self.states]
        return {status: found.count(status) for status in STATUSES}

    @property
    def failures(self) -> list[CellState]:
        """Failed cells, then those whose parent failed."""
        return [state for name in FAILED_STATUSES for state in self.states if state.row["status"] == name]

    @property
    def orphaned(self) -> list[CellState]:
        """Cells that a killed process left behind."""
        return [state for state in self.states if state.is_orphaned]

    @property
    def retried(self) -> list[CellState]:
        """Cells with more than one attempt."""
        return [state for state in self.states if state.num_attempts > 1]

    @property
    def eta_seconds(self) -> float | None:
        """What a living driver estimates."""
        eta = self.driver.get("eta_seconds") if self.driver and self.driver_state == "alive" else None
        return None if eta is None else float(eta)

    @property
    def pace(self) -> tuple[int, float] | None:
        """Cells that the last driver finished, and the seconds from its start to its last sign of life."""
        if self.driver is None or "started" not in self.driver:
            return None
        started = float(self.driver["started"])
        last_seconds = self.now_seconds if self.driver_state == "alive" else float(self.driver["time"])
        ends = [state.ended for state in self.states if state.row["status"] == "done" and state.ended]
        # One second of grace: older records have times in whole seconds.
        num_cells = sum(unix_seconds(ended) >= started - 1 for ended in ends)
        return (num_cells, last_seconds - started) if last_seconds > started else None


def read_status(
    experiment: Storage, watched: WatchedStates | None = None, now: float | None = None
) -> SweepStatus:
    """Look at a sweep's storage.

    Args:
        experiment: its folder.
        watched: its cells' states, for who looks again and again.
        now: Unix time; None asks the clock.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
    """
    now = time.time() if now is None else now
    states = watched.refresh(now) if watched else read_states(experiment, now=now)
    driver = read_json(experiment, DRIVER_FILE)
    if driver is None:
        driver_state = "none"
    elif driver.get("ended"):
        driver_state = "ended"
    else:
        driver_state = "silent" if read_driver(experiment, now) is None else "alive"
    spec = SweepSpec.read(experiment)
    command = spec.provenance.get("command", "") if spec else ""
    return SweepStatus(experiment.location, states, driver, driver_state, command, now)


def to_dict(status: SweepStatus) -> dict[str, Any]:
    """Plain-JSON form, with every cell and whole errors."""
    pace = status.pace
    return {
        "experiment": status.location,
        "counts": status.counts,
        "driver": _driver_to_dict(status),
        "eta_seconds": status.eta_seconds,
        "cells_per_second": pace[0] / pace[1] if pace else None,
        "failures": [_pick(state, "cell_id", "status", "error") for state in status.failures],
        "orphaned": [state.row["cell_id"] for state in status.orphaned],
        "retried": [state.row["cell_id"] for state in status.retried],
        "cells": [
            _pick(state, "cell_id", "status", "train_accuracy", "error") | {"attempts": state.num_attempts}
            for state in status.states
        ],
    }


def to_lines(status: SweepStatus, name: str, width: int | None = None) -> list[str]:
    """The status as text.

    Args:
        status: what to show.
        name: of the experiment with the options that find it, as in a command to copy: `digits`.
        width: of the terminal; longer lines about single cells are cut. None cuts nothing.
    """
    lines = [summary_line(status), f"driver: {_driver_text(status)}"]
    if pace_text := _pace_text(status):
        lines.append(pace_text)
    running = [state for state in status.states if state.row["status"] == "running"]
    lines += _listed("running", [(state, _since_text(state, status.now_seconds)) for state in running])
    for kind in FAILED_STATUSES:
        failed = [state for state in status.failures if state.row["status"] == kind]
        lines += _listed(kind, [(state, one_line(state.row["error"])) for state in failed])
    damaged = [state for state in status.states if state.row["status"] == "missing" and state.row["error"]]
    lines += _listed("damaged", [(state, one_line(state.row["error"])) for state in damaged])
    lines += _listed("orphaned", [(state, _orphan_text(state)) for state in status.orphaned])
    lines += _listed("retried", [(state, f"{state.num_attempts} attempts") for state in status.retried])
    lines = [line if width is None or len(line) <= width else line[: width - 1] + "…" for line in lines]
    return lines + _way_on(status, name)


def summary_line(status: SweepStatus) -> str:
    """Where the sweep is and how many cells are in each state."""
    return f"{status.location}: " + ", ".join(f"{count} {name}" for name, count in status.counts.items())


def one_line(error: object) -> str:
    """The line of an error that says most: the first, or a traceback's last; no control characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    line = lines[-1] if "Traceback (most recent call last)" in lines[0] else lines[0]
    return "".join(character for character in line if character.isprintable())


def _pick(state: CellState, *columns: str) -> dict[str, Any]:
    return {column: state.row[column] for column in columns}


def _driver_to_dict(status: SweepStatus) -> dict[str, Any] | None:
    driver = status.driver
    if driver is None:
        return None
    times = {name: driver.get(name) for name in ("started", "time", "ended")}
    return {
        "state": status.driver_state,
        "host": driver.get("host"),
        "pid": driver.get("pid"),
        "started": _utc_text(times["started"]),
        "last_seen": _utc_text(times["time"]),
        "ended": _utc_text(times["ended"]),
        "num_slots": driver.get("num_slots"),
        "running": driver.get("running", []) if status.driver_state == "alive" else [],
    }


def _driver_text(status: SweepStatus) -> str:
    driver = status.driver
    if driver is None:
        return "none has run here"
    who = f"process {driver.get('pid')} on {driver.get('host')}"
    if status.driver_state == "alive":
        return f"{who}, alive, started {_ago(driver.get('started'), status)}"
    if status.driver_state == "ended":
        return f"{who}, ended {_ago(driver['ended'], status)}"
    return f"{who}, silent since {_ago(driver['time'], status)}: killed, or cut off from the storage"


def _pace_text(status: SweepStatus) -> str:
    parts = []
    num_cells, seconds = status.pace or (0, 0.0)
    if num_cells:
        rate = num_cells / seconds
        units = (("a second", 1), ("a minute", 60), ("an hour", 3600))
        unit, factor = next((unit for unit in units if rate * unit[1] >= 1), units[-1])
        cells = "1 cell" if num_cells == 1 else f"{num_cells} cells"
        parts.append(f"{cells} in {format_seconds(seconds)}, {rate * factor:.1f} {unit}")
    if status.eta_seconds is not None:
        parts.append(f"about {format_seconds(status.eta_seconds)} left")
    return f"pace: {'; '.join(parts)}" if parts else ""


def _listed(kind: str, entries: list[tuple[CellState, str]]) -> list[str]:
    lines = [f"{kind:<14} {state.row['cell_id']:<32} {text}" for state, text in entries[:MAX_LISTED]]
    if len(entries) > MAX_LISTED:
        lines.append(f"{kind:<14} {len(entries) - MAX_LISTED} more; --json has them all")
    return lines


def _since_text(state: CellState, now_seconds: float) -> str:
    if not state.attempts:
        return "about to start"
    last = state.attempts[-1]
    return f"for {format_seconds(max(0.0, now_seconds - unix_seconds(last['started'])))} on {last['host']}"


def _orphan_text(state: CellState) -> str:
    last = state.attempts[-1]
    return f"begun {_utc_text(unix_seconds(last['started']))} on {last['host']}, cut short"


def _way_on(status: SweepStatus, name: str) -> list[str]:
    lines = []
    counts = status.counts
    is_alive = status.driver_state == "alive"
    if status.failures:
        when = "when the sweep has ended" if is_alive else "when the cause is mended"
        lines.append(f"{len(status.failures)} cells failed; {when}: rcsweep retry {name}")
    if counts["missing"] and not is_alive:
        is_run = status.command.startswith("rcsweep run")
        command = f": {status.command}" if is_run else " that began the sweep"
        lines.append(f"{counts['missing']} cells are not finished; to go on, the same command{command}")
    return lines


def _utc_text(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _ago(seconds: float | None, status: SweepStatus) -> str:
    if seconds is None:
        return "at an unknown time"
    ago = format_seconds(max(0.0, status.now_seconds - seconds))
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC ({ago} ago)"
