"""Cells from start to record: looked up where they are finished, run where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rc_core.attempts import require_same
from rc_core.cells import Cell
from rc_core.checkpoints import delete_checkpoints
from rc_core.datasets import Split
from rc_core.execution import Execution
from rc_core.experiment import RECORD_FILE, read_record
from rc_core.member import Job, Member
from rc_core.recipes import Recipe
from rc_core.stack_run import PERMANENT_ERRORS, Outcome, StackRun
from rc_core.storage import Storage


def run_cell(
    cell: Cell,
    recipe: Recipe,
    train: Split,
    test: Split,
    num_classes: int,
    folder: Storage,
    *,
    parent: Storage | None = None,
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Run one cell to its record, or return the record that is there already.

    Args:
        cell: what to run.
        recipe: its settings.
        train: see `run_cells`.
        test: see `run_cells`.
        num_classes: of the data.
        folder: the cell's own folder.
        parent: folder of the finished parent; required for a pruning.
        execution: see there.

    Raises:
        CheckpointError: the parent is not finished, or its checkpoint is damaged.
        ValueError: the folder holds another cell, or one of another recipe.
        DivergenceError: the loss is no longer finite.
        CellInterrupted: `execution.should_stop` said so.
    """
    (outcome,) = run_cells([Job(cell, folder, parent)], recipe, train, test, num_classes, execution)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_cells(
    jobs: Sequence[Job],
    recipe: Recipe,
    train: Split,
    test: Split,
    num_classes: int,
    execution: Execution | None = None,
) -> list[Outcome]:
    """Run cells of one kind to their records, as one stack; finished ones are just looked up.

    Each continues from the newest whole checkpoint in its folder. For the same threads, stacking and numerics
    the records' figures are those of undisturbed runs, bit for bit.

    Args:
        jobs: different cells, all trainings or all prunings.
        recipe: their settings.
        train: first `recipe.num_train_examples` of the training file.
        test: the same for the test file.
        num_classes: of the data.
        execution: see there.

    Returns:
        One outcome a job. A cell that fails for a reason of its own leaves the others alone.
    """
    run = StackRun(recipe, train, test, num_classes, execution or Execution(), is_stack=len(jobs) > 1)
    outcomes: dict[str, Outcome] = {}
    members: list[Member] = []
    for job in jobs:
        try:
            record = _finished(job, recipe)
            if record is None:
                members.append(run.open(job))
            else:
                outcomes[job.cell.cell_id] = record
        except PERMANENT_ERRORS as error:
            outcomes[job.cell.cell_id] = error
    outcomes |= run.to_the_end(members)
    return [outcomes[job.cell.cell_id] for job in jobs]


def _finished(job: Job, recipe: Recipe) -> dict[str, Any] | None:
    """The record of a finished cell; None for one that is to be run."""
    record = read_record(job.folder)
    if record is not None:
        require_same(record, job.cell, recipe, f"{job.folder.location}/{RECORD_FILE}")
        delete_checkpoints(job.folder, keep_newest=0)  # left where a process died right after its record
    return record
