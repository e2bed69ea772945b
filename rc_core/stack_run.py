"""Cells that are trained together: as one stack as far as they have come equally far."""

from __future__ import annotations

import contextlib
import gc
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from rc_core.cells import Cell, PruneCell, TrainCell
from rc_core.checkpointer import CellInterrupted, Checkpointer
from rc_core.checkpoints import Checkpoint, CheckpointError
from rc_core.datasets import Split
from rc_core.examples import CellExamples, cell_examples, splits_on_device
from rc_core.execution import Execution, resolve_device
from rc_core.history import DivergenceError
from rc_core.member import Job, Member
from rc_core.process_settings import prepare_process
from rc_core.recipes import Recipe
from rc_core.resnet import ResNet
from rc_core.stacking import padded_size
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, build_model, run_phase, select

# Failures of one cell that a second try would only repeat. Any other is the process's or the storage's, and
# ends all cells that run together.
PERMANENT_ERRORS = (DivergenceError, CheckpointError, ValueError)

# What became of a cell: its record, why it failed for good, or that it was asked to stop.
Outcome = dict[str, Any] | DivergenceError | CheckpointError | ValueError | CellInterrupted


class StackRun:
    """Cells of one kind, run together from where each of them stands to their records.

    Args: as of `runs.run_cells`.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Split,
        test: Split,
        num_classes: int,
        execution: Execution,
        *,
        is_stack: bool,
    ) -> None:
        self._start_seconds = time.perf_counter()
        self._recipe, self._num_classes, self._execution = recipe, num_classes, execution
        self._train, self._test = train, test
        self._stack = secrets.token_hex(4) if is_stack else None
        self._parents: dict[str, Checkpoint] = {}
        self._warm_starts: dict[str, Checkpoint] = {}
        self._outcomes: dict[str, Outcome] = {}

    def open(self, job: Job) -> Member:
        """Begin an attempt at a cell."""
        execution = self._execution
        return Member(
            job,
            self._recipe,
            stack=self._stack,
            report=execution.report,
            keep_checkpoints=execution.keep_checkpoints,
        )

    def to_the_end(self, members: Sequence[Member]) -> dict[str, Outcome]:
        """Run the cells; outcomes by id."""
        if not members:
            return {}
        try:
            self._prepare()
            self._run([member for member in members if self._load_parent(member)])
        except CellInterrupted as interruption:
            for member in self._unfinished(members):
                member.stop()
                self._outcomes[member.cell.cell_id] = interruption
        except Exception as error:
            for member in self._unfinished(members):
                member.fail(error)
            raise
        return self._outcomes

    def _prepare(self) -> None:
        self._device = resolve_device(self._execution.device)
        prepare_process(self._execution.threads)
        self._splits = splits_on_device(self._train, self._test, self._device)

    def _unfinished(self, members: Sequence[Member]) -> list[Member]:
        return [member for member in members if member.cell.cell_id not in self._outcomes]

    def _fail(self, member: Member, error: Any) -> None:
        member.fail(error)
        self._outcomes[member.cell.cell_id] = error

    def _load_parent(self, member: Member) -> bool:
        try:
            parent = member.load_parent(self._parents)
        except PERMANENT_ERRORS as error:
            self._fail(member, error)
            return False
        if parent is not None:
            self._warm_starts[member.cell.cell_id] = parent
        return True

    def _run(self, members: Sequence[Member]) -> None:
        """Run the cells in stacks of equal progress, one after the other."""
        by_step: dict[int, list[Member]] = {}
        for member in members:
            try:
                member.load_progress()
            except PERMANENT_ERRORS as error:
                self._fail(member, error)
            else:
                by_step.setdefault(member.step, []).append(member)
        for stack in by_step.values():
            try:
                self._run_stack(stack)
                continue
            except torch.OutOfMemoryError:
                if len(stack) == 1:
                    raise
            # Outside the handler, whose traceback would hold the networks in memory.
            gc.collect()
            torch.cuda.empty_cache()
            left = self._unfinished(stack)  # some may have been measured and written already
            half = len(left) // 2
            for member in left:
                member.say(f"out of memory with {len(stack)} networks in a stack: going on with half of them")
            self._run(left[:half])
            self._run(left[half:])

    def _run_stack(self, members: Sequence[Member]) -> None:
        """Run cells of equal progress as one phase."""
        examples = [self._examples(member.cell) for member in members]
        phase = self._start_phase(members, examples)
        for member in members:
            if member.step:
                member.say(f"resumed at step {member.step} of {phase.num_steps}")
        started = self._start_seconds
        spent = [member.progress.meta["wall_seconds"] if member.progress else 0.0 for member in members]

        def wall_seconds(network: int) -> float:
            """The cell's share of the stack's time, with that of earlier attempts that left a checkpoint."""
            return float(spent[network] + (time.perf_counter() - started) / len(members))

        savers = [_Saver(member, phase, network, wall_seconds) for network, member in enumerate(members)]
        execution = self._execution
        checkpointer = Checkpointer(
            savers, every_seconds=execution.checkpoint_seconds, should_stop=execution.should_stop
        )
        with contextlib.suppress(DivergenceError):  # of every network; each is told below
            run_phase(phase, (checkpointer, *execution.hooks))
        alone = self._model(1)
        for network, member in enumerate(members):
            try:
                if network in phase.diverged:
                    raise phase.diverged[network]
                self._outcomes[member.cell.cell_id] = member.finish(
                    phase,
                    network,
                    alone=alone,
                    examples=examples[network],
                    wall_seconds=savers[network].wall_seconds,
                    settings={
                        "device": self._device.type,
                        "threads": execution.threads,
                        "data_sha256": self._train.sha256,
                        "code_version": execution.code_version,
                        "stacked": execution.stacked,
                        "precision": execution.numerics.precision,
                    },
                )
            except PERMANENT_ERRORS as error:
                self._fail(member, error)
        self._start_seconds = time.perf_counter()

    def _examples(self, cell: Cell) -> CellExamples:
        return cell_examples(
            self._splits,
            randomization=cell.randomization,
            seed=cell.seed,
            num_classes=self._num_classes,
        )

    def _model(self, num_networks: int) -> ResNet:
        return build_model(
            self._recipe,
            in_channels=self._splits.train.images.shape[3],
            num_classes=self._num_classes,
            device=self._device,
            num_networks=num_networks,
        )

    def _start_phase(
        self, members: Sequence[Member], examples: Sequence[CellExamples]
    ) -> DenseTraining | Surgery:
        """The phase of the cells, at the step that they have reached; see `padded_size` for copies in it."""
        networks, numerics = list(range(len(members))), self._execution.numerics
        if self._execution.stacked:
            size = padded_size(len(networks), self._recipe.width, numerics.precision)
            networks += [0] * (size - len(networks))
        cells = [members[network].cell for network in networks]
        trained_on = [examples[network].train for network in networks]
        model = self._model(len(networks))
        phase: DenseTraining | Surgery
        if isinstance(cells[0], TrainCell):
            trainings = [cell for cell in cells if isinstance(cell, TrainCell)]
            phase = DenseTraining(trainings, self._recipe, model, trained_on, numerics)
        else:
            prunings = [cell for cell in cells if isinstance(cell, PruneCell)]
            warm_starts = [select(self._warm_starts[cell.cell_id].tensors, "model.") for cell in prunings]
            phase = Surgery(prunings, self._recipe, model, trained_on, warm_starts, numerics)
        reached = [members[network].progress for network in networks]
        checkpoints = [checkpoint for checkpoint in reached if checkpoint is not None]
        if checkpoints:
            phase.restore(
                checkpoints[0].step,
                [checkpoint.tensors for checkpoint in checkpoints],
                [checkpoint.meta["history"] for checkpoint in checkpoints],
            )
        return phase


class _Saver:
    """A member and its network: what a checkpoint is made of."""

    def __init__(
        self,
        member: Member,
        phase: DenseTraining | Surgery,
        network: int,
        wall_seconds: Callable[[int], float],
    ) -> None:
        self._member, self._phase, self._network = member, phase, network
        self._wall_seconds = wall_seconds

    def wall_seconds(self) -> float:
        """Time spent on the cell."""
        return self._wall_seconds(self._network)

    def save(self) -> None:
        """Write a checkpoint, unless the network is beyond help."""
        if self._network not in self._phase.diverged:
            self._member.save(self._phase, self._network, self.wall_seconds())

    def say(self, line: str) -> None:
        """A line for the log and for the user."""
        self._member.say(line)
