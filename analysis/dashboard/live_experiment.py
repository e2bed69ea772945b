"""An experiment as it is now, for any number of readers: one cache, which reads only what has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.dashboard.live_data import LiveData, LiveFiles
from analysis.results import rows_to_frame
from analysis.typed_tables import DTYPES
from rc_core.cell_states import CellState
from rc_core.experiment import DRIVER_FILE, RECORD_FILE, SweepSpec, empty_row, read_driver, read_json
from rc_core.storage import Storage
from rc_core.watched_states import WatchedStates

# Readers that ask more often than this share one look.
MAX_AGE_SECONDS = 3.0

_LOG = logging.getLogger(__name__)

DriverState = Literal["alive", "ended", "silent", "none"]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An experiment at one moment. It never changes; the next look gives another one.

    Attributes:
        name: of the experiment.
        location: of its folder.
        states: of every cell, trainings first; empty where nothing is there yet.
        data: what exhibits are drawn from.
        driver: the last driver's heartbeat; None where none ever ran.
        driver_state: as of `rcsweep status`.
        version: grows whenever a cell or the settings have changed; equal versions have equal states.
        looked_seconds: when all this was read, Unix time; 0 where nothing could be read so far.
        problem: why the last look failed, or why there is nothing; empty where all is well.
    """

    name: str
    location: str
    states: tuple[CellState, ...]
    data: LiveData
    driver: Mapping[str, Any] | None
    driver_state: DriverState
    version: int
    looked_seconds: float
    problem: str

    @property
    def spec(self) -> SweepSpec | None:
        """What was asked for; None in a folder of single cells, and before a sweep has begun."""
        return self.data.spec

    def state(self, cell_id: str) -> CellState | None:
        """Of one cell; None where the experiment has no such cell."""
        return next((state for state in self.states if state.row["cell_id"] == cell_id), None)


class LiveExperiment:
    """One experiment, looked at when somebody asks, at most every few seconds.

    While a look fails, or another thread is at it, readers get what is known from before.

    Args:
        storage: its folder; it need not exist yet.
        name: for people.
        max_age_seconds: answers may be as old as this.
    """

    def __init__(self, storage: Storage, name: str, max_age_seconds: float = MAX_AGE_SECONDS) -> None:
        self.storage, self.name = storage, name
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._watched = WatchedStates(storage)
        self._files = LiveFiles(storage)
        self._next_look = float("-inf")
        self._read_states: tuple[CellState, ...] = ()
        self._snapshot = self._nothing()

    def snapshot(self, *, fresh: bool = False) -> Snapshot:
        """The experiment as of a few seconds ago at most.

        Args:
            fresh: whether to look now, however short ago the last look was.
        """
        is_first = self._snapshot.looked_seconds == 0 and not self._snapshot.problem
        # Nobody waits for somebody else's look, unless there is nothing to show instead.
        if self._lock.acquire(blocking=is_first or fresh):
            try:
                if fresh or time.monotonic() >= self._next_look:
                    self._snapshot = self._look()
                    self._next_look = time.monotonic() + self._max_age_seconds
            finally:
                self._lock.release()
        return self._snapshot

    def _look(self) -> Snapshot:
        before = self._snapshot
        try:
            return self._read(before)
        except FileNotFoundError:
            if before.looked_seconds == 0 and not before.states:
                return replace(before, problem=f"{self.storage.location}: nothing here yet")
            return replace(before, problem=f"{self.storage.location}: the experiment is gone")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # Damaged files raise as many kinds; the next look may find them whole.
            _LOG.warning("%s cannot be read: %s", self.storage.location, error, exc_info=True)
            return replace(before, problem=f"{type(error).__name__}: {error}")

    def _read(self, before: Snapshot) -> Snapshot:
        looked_seconds = time.time()
        states = tuple(self._watched.refresh(looked_seconds))
        driver = read_json(self.storage, DRIVER_FILE)
        driver_state: DriverState = "none"
        if driver is not None:
            is_alive = read_driver(self.storage, looked_seconds) is not None
            driver_state = "ended" if driver.get("ended") else "alive" if is_alive else "silent"
        spec = SweepSpec.read(self.storage)
        if states != self._read_states or _text(spec) != _text(before.spec) or not before.looked_seconds:
            readable = _readable_states(states, spec)
            frame = rows_to_frame([state.row for state in readable], self.storage.location)
            data = LiveData(name=self.name, frame=frame, spec=spec, files=self._files)
            before = replace(before, states=readable, data=data, version=before.version + 1)
            self._read_states = states
        self._files.follow(before.states, driver, spec)
        return replace(
            before, driver=driver, driver_state=driver_state, looked_seconds=looked_seconds, problem=""
        )

    def _nothing(self) -> Snapshot:
        frame = rows_to_frame([])
        return Snapshot(
            name=self.name,
            location=self.storage.location,
            states=(),
            data=LiveData(name=self.name, frame=frame, spec=None, files=self._files),
            driver=None,
            driver_state="none",
            version=0,
            looked_seconds=0.0,
            problem="",
        )


def _text(spec: SweepSpec | None) -> object:
    return None if spec is None else (spec.recipe, spec.grids, spec.provenance)


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float64": (int, float),
    "int64": (int,),
    "Int64": (int,),
    "boolean": (bool,),
}


def _readable_states(states: Sequence[CellState], spec: SweepSpec | None) -> tuple[CellState, ...]:
    """The states, without the values of records that hold what columns cannot: one bad file hides no other.

    Of single cells without a sweep, nothing else tells where such a cell belongs: it is left out.
    """
    bad = {state.row["cell_id"]: columns for state in states if (columns := _unreadable_columns(state.row))}
    if not bad:
        return tuple(states)
    places = {cell.cell_id: empty_row(cell, spec.recipe) for cell in spec.cells()} if spec else {}
    readable = []
    for state in states:
        cell_id = state.row["cell_id"]
        if cell_id not in bad:
            readable.append(state)
        elif cell_id in places:
            error = (
                f"{RECORD_FILE} is damaged: {', '.join(bad[cell_id])} cannot be read; remove it and run again"
            )
            readable.append(CellState(places[cell_id] | {"error": error}))
    return tuple(readable)


def _unreadable_columns(row: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, dtype in DTYPES.items()
        if (value := row.get(name)) is not None and not isinstance(value, _PYTHON_TYPES[dtype])
    ]


def counts_of(states: Sequence[CellState]) -> dict[str, int]:
    """Cells by status, for the statuses that occur."""
    found: dict[str, int] = {}
    for state in states:
        found[state.row["status"]] = found.get(state.row["status"], 0) + 1
    return found
