"""The Tune trainable: one function for both kinds of cell.

A trial is idempotent. It looks at storage itself, answers at once where the cell is finished, and otherwise
continues from the newest whole checkpoint, which it wrote there itself. Tune's own checkpoints are not used:
their numbering restarts with every driver, and a fresh driver would mix its files into an older one's.
"""

from __future__ import annotations

import time
import traceback
from typing import Any

from ray import tune

from rc_core.cells import PruneCell, cell_from_dict
from rc_core.checkpoints import CheckpointError
from rc_core.datasets import Split
from rc_core.execution import Execution, run_cell
from rc_core.experiment import FAILURE_FILE, write_json
from rc_core.history import DivergenceError
from rc_core.provenance import host_name, utc_now
from rc_core.recipes import Recipe
from rc_core.storage import open_storage
from rc_core.training import Phase

# Failures that a second try would only repeat: they end the trial without Tune's retries.
PERMANENT_ERRORS = (DivergenceError, CheckpointError, ValueError)

REPORT_SECONDS = 5.0


def run_trial(
    config: dict[str, Any],
    *,
    recipe: Recipe,
    train: Split,
    test: Split,
    num_classes: int,
    experiment: str,
    device: str,
    threads: int,
    code_version: str,
) -> None:
    """Run the cell in `config["cell"]` and report its figures to Tune.

    Args:
        config: `cell_id` and `cell`, from the searcher.
        recipe: settings of the sweep.
        train: training split; lives once per node in Ray's object store.
        test: test split.
        num_classes: K.
        experiment: location of the experiment's folder.
        device: see `Execution`.
        threads: see `Execution`.
        code_version: the driver's.
    """
    cell = cell_from_dict(config["cell"])
    storage = open_storage(experiment)
    folder = storage.folder(cell.cell_id)
    last_report_seconds = time.monotonic()

    def report_progress(phase: Phase) -> None:
        nonlocal last_report_seconds
        if time.monotonic() - last_report_seconds >= REPORT_SECONDS and phase.step < phase.num_steps:
            last_report_seconds = time.monotonic()
            tune.report({"step": phase.step, "num_steps": phase.num_steps})

    try:
        record = run_cell(
            cell,
            recipe,
            train,
            test,
            num_classes,
            folder,
            parent=storage.folder(cell.parent.cell_id) if isinstance(cell, PruneCell) else None,
            execution=Execution(
                device=device, threads=threads, hooks=(report_progress,), code_version=code_version
            ),
        )
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        failure = {
            "error": message,
            "traceback": traceback.format_exc(),
            "host": host_name(),
            "time": utc_now(),
        }
        write_json(folder, FAILURE_FILE, failure)
        if isinstance(error, PERMANENT_ERRORS):
            tune.report({"error": message})
            return
        raise
    row = record["row"]
    tune.report(
        {
            "step": row["steps"],
            "num_steps": row["steps"],
            **{
                name: row[name]
                for name in ("train_accuracy", "test_accuracy", "sparsity", "wall_seconds")
                if row[name] is not None
            },
        }
    )
