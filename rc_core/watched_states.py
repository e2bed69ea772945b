"""The states of an experiment for whoever looks again and again: `status --watch`, a live dashboard."""

from __future__ import annotations

import time
from typing import NamedTuple

from rc_core.cell_states import CellState, read_states, read_states_of_sweep
from rc_core.cells import Cell
from rc_core.experiment import RECORD_FILE, SWEEP_FILE, SweepSpec
from rc_core.recipes import Recipe
from rc_core.stamps import FileStamp
from rc_core.storage import Storage

# Where stamps take longer than this, they are asked for in this share of the time.
_SLOW_STAMPS_SECONDS, _STAMPS_TIME_SHARE = 0.5, 0.05


class _Sweep(NamedTuple):
    content: bytes
    recipe: Recipe
    cells: list[Cell]


class WatchedStates:
    """The states of an experiment's cells; each look reads what can have changed since the one before.

    That is the driver, and every cell that was not finished. A finished cell is read again where the stamp of
    its record has changed; curves are never read.

    Args:
        storage: the experiment's folder.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._sweep: _Sweep | None = None
        # Finished cells with the stamp of the record that was read; None where it is not known.
        self._known: dict[str, tuple[FileStamp | None, CellState]] = {}
        self._next_stamps_seconds = float("-inf")

    def refresh(self, now: float | None = None) -> list[CellState]:
        """The states at this moment, as of `read_states`; unchanged finished cells keep their objects.

        Storage that is slow to tell stamps, such as an object store with many files, is asked for them now
        and then. In between, a finished cell counts as unchanged for as long as its folder is there.

        Args:
            now: Unix time, to tell whether the driver lives; None asks the clock.

        Raises:
            FileNotFoundError: nothing in the folder is an experiment or a cell.
        """
        sweep = self._read_sweep()
        if sweep is None:
            return read_states(self._storage, now=now)
        looked_seconds = time.time()
        stamps = self._read_stamps(sweep.cells)
        known = {
            cell_id: state
            for cell_id, (stamp, state) in self._known.items()
            if stamps is None or (stamp is not None and stamp == stamps.get(cell_id))
        }
        states = read_states_of_sweep(self._storage, sweep.recipe, sweep.cells, known, now)
        done = {state.row["cell_id"]: state for state in states if state.row["status"] == "done"}
        before = self._known
        self._known = {}
        for cell_id, state in done.items():
            if known.get(cell_id) is state:
                self._known[cell_id] = before[cell_id]
                continue
            stamp = stamps.get(cell_id) if stamps else None
            is_sure = stamp is not None and stamp.is_settled(looked_seconds)
            self._known[cell_id] = (stamp if is_sure else None, state)
        return states

    def _read_sweep(self) -> _Sweep | None:
        """`sweep.json`, parsed again where it has changed."""
        try:
            content = self._storage.read(SWEEP_FILE)
        except (FileNotFoundError, NotADirectoryError):
            content = b""
        if self._sweep is not None and self._sweep.content == content:
            return self._sweep
        spec = SweepSpec.read(self._storage)
        found = None if spec is None else _Sweep(content, spec.recipe, spec.cells())
        if found is None or self._sweep is None or found.recipe != self._sweep.recipe:
            self._known = {}  # rows tell of the recipe
        self._sweep = found
        return found

    def _read_stamps(self, cells: list[Cell]) -> dict[str, FileStamp | None] | None:
        """Stamps of the cells' records; None where it is too early to ask again."""
        begun_seconds = time.monotonic()
        if begun_seconds < self._next_stamps_seconds:
            return None
        stamps = self._storage.stamps([f"{cell.cell_id}/{RECORD_FILE}" for cell in cells])
        took_seconds = time.monotonic() - begun_seconds
        if took_seconds > _SLOW_STAMPS_SECONDS:
            self._next_stamps_seconds = time.monotonic() + took_seconds / _STAMPS_TIME_SHARE
        return {cell.cell_id: stamp for cell, stamp in zip(cells, stamps, strict=True)}
