"""Files of cells for exhibits, kept from look to look: read again once their cell's state has changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.attempts import AttemptLog, attempts_of_cell, runs_of_sweep
from analysis.experiment_data import ExperimentData
from analysis.layers import Layer, load_layers
from analysis.results import load_history
from rc_core.cell_states import CellState
from rc_core.experiment import SweepSpec
from rc_core.storage import Storage


class LiveFiles:
    """Curves and layers that were read, with the state that their cell had then.

    Args:
        storage: the experiment's folder.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock = threading.RLock()
        self._states: dict[str, CellState] = {}
        self._log: tuple[Sequence[CellState], Mapping[str, Any] | None, SweepSpec | None] = ((), None, None)
        self._history: pd.DataFrame | None = None
        self._state_of_history: dict[str, CellState | None] = {}
        self._layers: dict[str, tuple[CellState | None, tuple[Layer, ...]]] = {}

    def follow(
        self, states: Sequence[CellState], driver: Mapping[str, Any] | None, spec: SweepSpec | None
    ) -> None:
        """Take note of the newest look."""
        with self._lock:
            self._log = (states, driver, spec)
            self._states = {state.row["cell_id"]: state for state in states}

    def history(self, cell_ids: Sequence[str]) -> pd.DataFrame:
        """As of `analysis.results.load_history`."""
        with self._lock:
            known = self._state_of_history
            new = [
                cell_id
                for cell_id in cell_ids
                if cell_id not in known or known[cell_id] != self._states.get(cell_id)
            ]
            if new or self._history is None:
                read = load_history(self.storage, new)
                old = self._history
                if old is not None and len(old):
                    old = old[~old["cell_id"].isin(new)]
                    read = pd.concat([old, read], ignore_index=True)
                self._history = read
                known |= {cell_id: self._states.get(cell_id) for cell_id in new}
            history = self._history
        return history if len(cell_ids) == len(known) else history[history["cell_id"].isin(cell_ids)]

    def layers(self, cell_ids: Sequence[str]) -> dict[str, tuple[Layer, ...]]:
        """As of `analysis.layers.load_layers`."""
        with self._lock:
            new = [
                cell_id
                for cell_id in cell_ids
                if cell_id not in self._layers or self._layers[cell_id][0] != self._states.get(cell_id)
            ]
            if new:
                read = load_layers(self.storage, new)
                self._layers |= {
                    cell_id: (self._states.get(cell_id), read.get(cell_id, ())) for cell_id in new
                }
            return {cell_id: some for cell_id in cell_ids if (some := self._layers[cell_id][1])}

    def attempts(self) -> AttemptLog:
        """As of `analysis.attempts.load_attempts`, from the states of the newest look."""
        with self._lock:
            states, driver, spec = self._log
        if spec is None:
            return AttemptLog((), (), len(states), 0)
        is_alive = driver is not None and not driver.get("ended")
        alive_seconds = float(driver["time"]) if driver is not None and is_alive else None
        attempts = [attempt for state in states for attempt in attempts_of_cell(state, alive_seconds)]
        return AttemptLog(
            tuple(sorted(attempts, key=lambda attempt: (attempt.started, attempt.cell_id))),
            runs_of_sweep(spec.provenance.get("runs", []), driver),
            len(states),
            sum(state.row["status"] == "done" and not state.attempts for state in states),
        )


class LiveData(ExperimentData):
    """An experiment's table at one moment; its cells' files come from the cache of the live experiment.

    Attributes:
        storage: the experiment's folder.
    """

    def __init__(self, *, name: str, frame: pd.DataFrame, spec: SweepSpec | None, files: LiveFiles) -> None:
        super().__init__(name=name, frame=frame, spec=spec, storage=files.storage)
        self.storage = files.storage
        self._live = files

    def history(self, cell_ids: Sequence[str]) -> pd.DataFrame:
        """See `ExperimentData.history`."""
        return self._live.history(cell_ids)

    def layers(self, cell_ids: Sequence[str]) -> dict[str, tuple[Layer, ...]]:
        """See `ExperimentData.layers`."""
        return self._live.layers(cell_ids)

    def attempts(self) -> AttemptLog:
        """See `ExperimentData.attempts`."""
        return self._live.attempts()
