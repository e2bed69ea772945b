"""One experiment as figures need it: its table, and files of its cells, read when asked for and kept."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.attempts import AttemptLog, load_attempts
from analysis.layers import Layer, load_layers
from analysis.results import experiment_name, load, load_history, load_spec
from rc_core.experiment import SweepSpec
from rc_core.storage import Storage, open_storage


class ExperimentData:
    """What exhibits are drawn from. It stays as it was read: for a newer state make another.

    Attributes:
        name: of the experiment.
        frame: as of `analysis.results.load`.
        spec: as of `analysis.results.load_spec`.
    """

    def __init__(self, *, name: str, frame: pd.DataFrame, spec: SweepSpec | None, storage: Storage) -> None:
        self.name = name
        self.frame = frame
        self.spec = spec
        self._files = _CellFiles(storage)

    @classmethod
    def load(cls, location: str | Path | Storage) -> ExperimentData:
        """The experiment at a location.

        Args:
            location: as of `analysis.results.load`; unfinished sweeps are welcome.

        Raises:
            FileNotFoundError: nothing there is an experiment or a cell.
            ValueError: a file is damaged; the message names it.
        """
        storage = open_storage(location) if isinstance(location, str | Path) else location
        return cls(
            name=experiment_name(storage), frame=load(storage), spec=load_spec(storage), storage=storage
        )

    def restricted(self, frame: pd.DataFrame) -> ExperimentData:
        """The same experiment with fewer rows; what was read of the cells is shared."""
        other = copy.copy(self)
        other.frame = frame
        return other

    def history(self, cell_ids: Sequence[str]) -> pd.DataFrame:
        """Curves of some cells, as of `analysis.results.load_history`."""
        return self._files.history(cell_ids)

    def layers(self, cell_ids: Sequence[str]) -> dict[str, tuple[Layer, ...]]:
        """Layers of some prunings, as of `analysis.layers.load_layers`."""
        return self._files.layers(cell_ids)

    def attempts(self) -> AttemptLog:
        """All attempts of the experiment, also at cells that the frame lacks: slots hold every cell."""
        return self._files.attempts()


class _CellFiles:
    """Files of cells, each read once; asked from several threads, a page's for example."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.RLock()
        self._history: pd.DataFrame | None = None
        self._cells_with_history: set[str] = set()
        self._layers: dict[str, tuple[Layer, ...]] = {}
        self._attempts: AttemptLog | None = None

    def history(self, cell_ids: Sequence[str]) -> pd.DataFrame:
        with self._lock:
            new = [cell_id for cell_id in cell_ids if cell_id not in self._cells_with_history]
            if new or self._history is None:
                read = load_history(self._storage, new)
                known = [] if self._history is None or not len(self._history) else [self._history]
                self._history = pd.concat([*known, read], ignore_index=True) if known else read
                self._cells_with_history |= set(new)
            history = self._history
            is_whole = len(cell_ids) == len(self._cells_with_history)
        return history if is_whole else history[history["cell_id"].isin(cell_ids)]

    def layers(self, cell_ids: Sequence[str]) -> dict[str, tuple[Layer, ...]]:
        with self._lock:
            new = [cell_id for cell_id in cell_ids if cell_id not in self._layers]
            if new:
                read = load_layers(self._storage, new)
                self._layers |= {cell_id: read.get(cell_id, ()) for cell_id in new}
            return {cell_id: self._layers[cell_id] for cell_id in cell_ids if self._layers[cell_id]}

    def attempts(self) -> AttemptLog:
        with self._lock:
            if self._attempts is None:
                self._attempts = load_attempts(self._storage)
            return self._attempts
