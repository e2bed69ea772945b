"""The Tune trainable: one function for both kinds of cell, alone or in stacks.

A trial is idempotent. It looks at storage itself, answers at once where the cell is finished, and otherwise
continues from the newest whole checkpoint, which it wrote there itself. Tune's own checkpoints are not used:
their numbering restarts with every driver, and a fresh driver would mix its files into an older one's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune

from rc_core.cells import Cell, PruneCell, cell_from_dict
from rc_core.checkpointer import CellInterrupted
from rc_core.datasets import Split
from rc_core.device_memory import cap_process
from rc_core.device_step import Numerics
from rc_core.execution import Execution, resolve_device
from rc_core.member import Job
from rc_core.recipes import Recipe
from rc_core.runs import run_cells
from rc_core.stack_run import PERMANENT_ERRORS, Outcome
from rc_core.storage import open_storage
from rc_core.training import Phase
from tune_experiments.node_drain import leave_node, node_drain
from tune_experiments.node_watch import NODE_PROBLEM, node_problem
from tune_experiments.stop_request import StopPoll

REPORT_SECONDS = 5.0

# Columns of a finished cell that the driver shows.
FIGURES = ("train_accuracy", "test_accuracy", "sparsity", "wall_seconds")


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What all trials of a driver share, besides the data.

    Attributes:
        recipe: settings of the sweep.
        num_classes: K.
        experiment: location of the experiment's folder.
        driver_token: tells this driver's stop requests from others'.
        device: see `Execution`.
        gpu_fraction: part of a GPU that a trial may fill, where it is below 1.
        threads: see `Execution`.
        stacked: see `Execution`.
        numerics: see `Execution`.
        checkpoint_seconds: see `Execution`.
        keep_checkpoints: see `Execution`.
        code_version: the driver's.
        versions: of the driver's packages and code, which each node has to have; None on one machine.
    """

    recipe: Recipe
    num_classes: int
    experiment: str
    driver_token: str
    device: str
    gpu_fraction: float
    threads: int
    stacked: bool
    numerics: Numerics
    checkpoint_seconds: float
    keep_checkpoints: int
    code_version: str
    versions: Mapping[str, str] | None


def cells_of(config: dict[str, Any]) -> list[Cell]:
    """The cells of a trial."""
    return [cell_from_dict(each) for each in config["cells"]]


def trial_name(config: dict[str, Any]) -> str:
    """E.g. `train-p0.00-s42+4`: the first cell's id, and how many further ones run with it."""
    first, *others = cells_of(config)
    return first.cell_id + (f"+{len(others)}" if others else "")


def run_trial(config: dict[str, Any], *, context: TrialContext, train: Split, test: Split) -> None:
    """Run the cells in `config["cells"]` as a stack, and report to Tune what became of each.

    The last report's `outcomes` has, by cell id, either the figures of `FIGURES`, or an `error` that a second
    try would only repeat, or `interrupted`. On a node that must not run cells all are given back, and the
    report says why. On one that Ray drains the process ends, with a checkpoint left behind.

    Args:
        config: `cells`, from the searcher.
        context: see there.
        train: training split; lives once per node in Ray's object store.
        test: test split.
    """
    cells = cells_of(config)
    experiment = open_storage(context.experiment)
    drain = None
    if context.versions is not None:
        problem = node_problem(experiment, context.driver_token, context.versions)
        if problem is not None:
            given_back = {cell.cell_id: {"interrupted": True} for cell in cells}
            tune.report({"outcomes": given_back, NODE_PROBLEM: problem})
            return
        drain = node_drain()
        if drain.begun:
            leave_node()
    stop_requested = StopPoll(experiment, context.driver_token)
    jobs = [
        Job(
            cell,
            experiment.folder(cell.cell_id),
            experiment.folder(cell.parent.cell_id) if isinstance(cell, PruneCell) else None,
        )
        for cell in cells
    ]
    execution = Execution(
        device=context.device,
        threads=context.threads,
        stacked=context.stacked,
        numerics=context.numerics,
        checkpoint_seconds=context.checkpoint_seconds,
        keep_checkpoints=context.keep_checkpoints,
        hooks=(ProgressReport(),),
        should_stop=lambda: (drain is not None and drain.begun) or stop_requested(),
        code_version=context.code_version,
    )
    if 0 < context.gpu_fraction < 1:
        cap_process(context.gpu_fraction, resolve_device(context.device))
    outcomes: Sequence[Outcome]
    try:
        outcomes = run_cells(jobs, context.recipe, train, test, context.num_classes, execution)
    except PERMANENT_ERRORS as error:  # of no single cell
        outcomes = [error] * len(cells)
    if drain is not None and drain.begun and any(isinstance(each, CellInterrupted) for each in outcomes):
        leave_node()
    reported = {cell.cell_id: _reported(outcome) for cell, outcome in zip(cells, outcomes, strict=True)}
    tune.report({"outcomes": reported})


def _reported(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, CellInterrupted):
        return {"interrupted": True}
    if isinstance(outcome, Exception):
        return {"error": f"{type(outcome).__name__}: {outcome}"}
    return {name: outcome["row"][name] for name in FIGURES if outcome["row"][name] is not None}


class ProgressReport:
    """Hook that tells Tune every few seconds how far the cell is."""

    def __init__(self) -> None:
        self._next_seconds = time.monotonic() + REPORT_SECONDS

    def __call__(self, phase: Phase) -> None:
        """See `rc_core.training.Hook`."""
        if time.monotonic() >= self._next_seconds and phase.step < phase.num_steps:
            self._next_seconds = time.monotonic() + REPORT_SECONDS
            tune.report({"step": phase.step, "num_steps": phase.num_steps})
