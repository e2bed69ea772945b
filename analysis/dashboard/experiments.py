"""Which experiments are served. Names from addresses are looked up here and never become paths."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from typing import NamedTuple

from analysis.dashboard.live_experiment import LiveExperiment
from rc_core.experiment import (
    FAILURE_FILE,
    RECORD_FILE,
    SWEEP_FILE,
    DamagedFileError,
    SweepSpec,
    read_driver,
)
from rc_core.storage import Storage

# Of a nested experiment that is compared with: more levels than anybody's folders have.
_MAX_DEPTH = 6


class Summary(NamedTuple):
    """One line of the list of experiments.

    Attributes:
        name: of its folder.
        recipe: name.
        num_cells: of the grid.
        num_done: finished cells.
        num_failed: cells with a failure that was not made good.
        is_running: whether a driver lives.
        problem: why it cannot be read; empty where it can.
    """

    name: str
    recipe: str = ""
    num_cells: int = 0
    num_done: int = 0
    num_failed: int = 0
    is_running: bool = False
    problem: str = ""


class Experiments:
    """The experiments of a folder, or one of them; each is opened when it is asked for, and once.

    Args:
        parent: folder of the experiments; None where the one has no parent that may be looked at.
        only: name of the one that is served; None serves all of `parent`.
        storage: of that one; None = the parent's sub-folder of its name.
        storage_words: what finds `parent` on a command line, e.g. `("--storage", "s3://bucket")`.
    """

    def __init__(
        self,
        parent: Storage | None,
        *,
        only: str | None = None,
        storage: Storage | None = None,
        storage_words: Sequence[str] = (),
    ) -> None:
        assert parent is not None or storage is not None
        self.parent, self.only = parent, only
        self._storage_words = tuple(storage_words)
        self._lock = threading.Lock()
        self._open: dict[str, LiveExperiment] = {}
        if only is not None:
            if storage is None:
                assert parent is not None
                storage = parent.folder(only)
            self._open[only] = LiveExperiment(storage, only)

    def names(self) -> list[str]:
        """Of the experiments that have pages."""
        return [self.only] if self.only is not None else self.names_beside()

    def names_beside(self) -> list[str]:
        """Of all experiments in the parent folder, sorted: those that can be compared with."""
        if self.parent is None:
            return []
        names = self.parent.names()
        stamps = self.parent.stamps([f"{name}/{SWEEP_FILE}" for name in names])
        return [name for name, stamp in zip(names, stamps, strict=True) if stamp is not None]

    def find(self, name: str) -> LiveExperiment | None:
        """The experiment of that name; None where no such one is served."""
        if self.only is not None and name != self.only:
            return None
        with self._lock:
            if name in self._open:
                return self._open[name]
        if self.parent is None or name not in self.names_beside():
            return None
        with self._lock:
            return self._open.setdefault(name, LiveExperiment(self.parent.folder(name), name))

    def find_beside(self, path: str) -> LiveExperiment | None:
        """An experiment to compare with: its name, or its path in the parent folder, as in `old/digits`."""
        parts = path.strip("/").split("/")
        with self._lock:
            if path in self._open:
                return self._open[path]
        if self.parent is None or len(parts) > _MAX_DEPTH:
            return None
        folder = self.parent
        for part in parts:  # listed names only: `..` and hidden folders are none
            if part not in folder.names():
                return None
            folder = folder.folder(part)
        if SWEEP_FILE not in folder.names():
            return None
        with self._lock:
            return self._open.setdefault(path, LiveExperiment(folder, path))

    def words(self, name: str) -> str:
        """How a command names the experiment, e.g. `digits --storage /data`, quoted for a shell."""
        if self.parent is None:
            return shlex.quote(self._open[name].storage.location)
        return shlex.join([name, *self._storage_words])

    def summaries(self) -> list[Summary]:
        """One line an experiment that is served, by name; no result is read for it."""
        return [self._summary(name) for name in self.names()]

    def _summary(self, name: str) -> Summary:
        assert self.parent is not None
        folder = self.parent.folder(name)
        try:
            spec = SweepSpec.read(folder)
            if spec is None:
                return Summary(name, problem="nothing here yet")
            cells = [cell.cell_id for cell in spec.cells()]
            records = folder.stamps([f"{cell_id}/{RECORD_FILE}" for cell_id in cells])
            failures = folder.stamps([f"{cell_id}/{FAILURE_FILE}" for cell_id in cells])
            num_failed = sum(
                failure is not None and record is None
                for record, failure in zip(records, failures, strict=True)
            )
            num_done = sum(record is not None for record in records)
            try:
                is_running = read_driver(folder) is not None
            except DamagedFileError:
                is_running = False
            return Summary(name, spec.recipe.name, len(cells), num_done, num_failed, is_running)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Summary(name, problem=f"{type(error).__name__}: {error}")


def parent_of(storage: Storage) -> str:
    """Path or URI of the folder above; empty where there is none."""
    return storage.location.partition("?")[0].rstrip("/").rpartition("/")[0]


def holds_experiments(storage: Storage) -> bool:
    """Whether it is a folder of experiments rather than an experiment, or nothing yet."""
    if storage.stamps([SWEEP_FILE])[0] is not None:
        return False
    return any(
        stamp is not None for stamp in storage.stamps([f"{name}/{SWEEP_FILE}" for name in storage.names()])
    )
