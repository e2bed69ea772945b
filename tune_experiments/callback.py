"""The Tune callback of a sweep: the only place that sees what became of a trial."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from rc_core.cells import Cell
from rc_core.experiment import FAILURE_FILE, LOG_FILE, read_json, read_record, write_json
from rc_core.provenance import host_name, utc_now
from rc_core.storage import Storage
from tune_experiments.node_drain import LEAVES_NODE
from tune_experiments.progress import LiveDisplay, PlainDisplay, SweepProgress
from tune_experiments.queue import PARENT_FAILED, CellQueue
from tune_experiments.trainables import cells_of, trial_name

# Stands for an ended trial's result; an empty one would make Tune print a line, whatever its verbosity.
_ENDED = {"ended": True}


def _forget(trial: Trial) -> None:
    """Free what Tune keeps of an ended trial and nobody reads: some 50 kB, statistics of every metric most.

    Tune's snapshot, which carries each trial's state, is never restored.
    """
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial.run_metadata.last_result = _ENDED
    trial.get_json_state = _empty_state


def _empty_state() -> str:
    return "{}"


class SweepCallback(tune.Callback):
    """Tells the queue and the display what became of each trial."""

    def __init__(
        self,
        queue: CellQueue,
        progress: SweepProgress,
        display: PlainDisplay | LiveDisplay,
        experiment: Storage,
    ) -> None:
        self._queue, self._progress, self._display = queue, progress, display
        self._experiment = experiment
        self._num_failures: dict[str, int] = {}  # by trial, when it last got a slot

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; nothing of this one is ever restored."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial got its slot, perhaps not for the first time."""
        cells = cells_of(trial.config)
        before = self._num_failures.get(trial.trial_id)
        self._num_failures[trial.trial_id] = trial.num_failures
        if before is not None:
            tries = (trial.num_failures + 1, trial.max_failures + 1) if trial.num_failures > before else None
            self._display.event(self._progress.trial_restarted(trial_name(trial.config), tries))
        for cell in cells:
            self._progress.cell_started(cell, stack=len(cells))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial that leaves a drained node says so; its end, which Tune will count, is made up for."""
        if LEAVES_NODE in result:
            trial.run_metadata.num_failures -= 1

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial returned: its cells are done, interrupted, or failed in a way that retries would repeat."""
        outcomes = trial.last_result.get("outcomes", {})
        self._queue.end_stack()
        self._num_failures.pop(trial.trial_id, None)
        for cell in cells_of(trial.config):
            outcome = outcomes.get(cell.cell_id, {"error": "the trial ended without a result"})
            if "interrupted" in outcome:
                self._queue.give_back(cell.cell_id)
                self._display.event(self._progress.cell_stopped(cell))
            elif "error" in outcome:
                self._fail(cell, outcome["error"])
            else:
                self._finish(cell, outcome)
        _forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial failed more often than it may.

        In a stack one cell may have ended the process of all: each that is not done gets tries of its own.
        """
        cells = cells_of(trial.config)
        self._queue.end_stack()
        self._num_failures.pop(trial.trial_id, None)
        for cell in cells:
            folder = self._experiment.folder(cell.cell_id)
            if len(cells) == 1:
                self._fail(cell, self._read_or_write_failure(cell, folder))
                continue
            record = _read_record(folder)
            if record is not None:
                self._finish(cell, record["row"])
            else:
                self._queue.give_back(cell.cell_id, alone=True)
                self._display.event(self._progress.cell_isolated(cell))
        _forget(trial)

    def _read_or_write_failure(self, cell: Cell, folder: Storage) -> str:
        """What the last attempt wrote; a killed process wrote nothing, so the driver does."""
        error = (
            "the trial's process died without a word (killed, or out of memory); "
            f"see {cell.cell_id}/{LOG_FILE}"
        )
        try:
            failure = read_json(folder, FAILURE_FILE)
            if failure is not None:
                return str(failure["error"])
            write_json(folder, FAILURE_FILE, {"error": error, "host": host_name(), "time": utc_now()})
        except (OSError, ValueError) as storage_error:  # e.g. the disk is full, which is why the trial failed
            return f"{error}; its failure could not be written: {storage_error}"
        return error

    def _finish(self, cell: Cell, figures: dict[str, Any]) -> None:
        self._queue.finish(cell.cell_id)
        self._display.event(self._progress.cell_finished(cell, figures))

    def _fail(self, cell: Cell, error: str) -> None:
        self._queue.fail(cell.cell_id, error)
        self._display.event(self._progress.cell_failed(cell, error))
        for child, state in self._queue.states.items():
            if state == PARENT_FAILED and self._queue.cells[child].parent == cell:
                self._display.event(f"FAILED  {child:<32} its parent failed")


def _read_record(folder: Storage) -> dict[str, Any] | None:
    try:
        return read_record(folder)
    except OSError:  # the storage cannot be read just now; the cell itself will look again
        return None
