"""The Tune trainable: one function for both kinds of cell.

A trial is idempotent. It looks at storage itself, answers at once where the cell is finished, and otherwise
continues from the newest whole checkpoint, which it wrote there itself. Tune's own checkpoints are not used:
their numbering restarts with every driver, and a fresh driver would mix its files into an older one's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ray import tune

from rc_core.cells import PruneCell, cell_from_dict
from rc_core.checkpointer import CellInterrupted
from rc_core.checkpoints import CheckpointError
from rc_core.datasets import Split
from rc_core.execution import Execution, run_cell
from rc_core.history import DivergenceError
from rc_core.recipes import Recipe
from rc_core.storage import open_storage
from rc_core.training import Phase
from tune_experiments.stop_request import StopPoll

# Failures that a second try would only repeat: they end the trial without Tune's retries.
PERMANENT_ERRORS = (DivergenceError, CheckpointError, ValueError)

REPORT_SECONDS = 5.0

_RESULT_COLUMNS = ("train_accuracy", "test_accuracy", "sparsity", "wall_seconds")


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What all trials of a driver share, besides the data.

    Attributes:
        recipe: settings of the sweep.
        num_classes: K.
        experiment: location of the experiment's folder.
        driver_token: tells this driver's stop requests from others'.
        device: see `Execution`.
        threads: see `Execution`.
        checkpoint_seconds: see `Execution`.
        keep_checkpoints: see `Execution`.
        code_version: the driver's.
    """

    recipe: Recipe
    num_classes: int
    experiment: str
    driver_token: str
    device: str
    threads: int
    checkpoint_seconds: float
    keep_checkpoints: int
    code_version: str


def run_trial(config: dict[str, Any], *, context: TrialContext, train: Split, test: Split) -> None:
    """Run the cell in `config["cell"]` and report its figures to Tune.

    Args:
        config: `cell_id` and `cell`, from the searcher.
        context: see there.
        train: training split; lives once per node in Ray's object store.
        test: test split.
    """
    cell = cell_from_dict(config["cell"])
    experiment = open_storage(context.experiment)
    try:
        record = run_cell(
            cell,
            context.recipe,
            train,
            test,
            context.num_classes,
            experiment.folder(cell.cell_id),
            parent=experiment.folder(cell.parent.cell_id) if isinstance(cell, PruneCell) else None,
            execution=Execution(
                device=context.device,
                threads=context.threads,
                checkpoint_seconds=context.checkpoint_seconds,
                keep_checkpoints=context.keep_checkpoints,
                hooks=(ProgressReport(),),
                should_stop=StopPoll(experiment, context.driver_token),
                code_version=context.code_version,
            ),
        )
    except CellInterrupted:
        tune.report({"interrupted": True})
    except PERMANENT_ERRORS as error:
        tune.report({"error": f"{type(error).__name__}: {error}"})
    else:
        row = record["row"]
        figures = {name: row[name] for name in _RESULT_COLUMNS if row[name] is not None}
        tune.report({"step": row["steps"], "num_steps": row["steps"], **figures})


class ProgressReport:
    """Hook that tells Tune every few seconds how far the cell is."""

    def __init__(self) -> None:
        self._next_seconds = time.monotonic() + REPORT_SECONDS

    def __call__(self, phase: Phase) -> None:
        """See `rc_core.training.Hook`."""
        if time.monotonic() >= self._next_seconds and phase.step < phase.num_steps:
            self._next_seconds = time.monotonic() + REPORT_SECONDS
            tune.report({"step": phase.step, "num_steps": phase.num_steps})
