"""`rcsweep plan`, `run`, `retry`: sweeps."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rc_core.cell_states import read_rows
from rc_core.experiment import FAILED_STATUSES, SweepSpec
from rc_core.recipes import PRESETS
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    Folder,
    Fractions,
    Integers,
    Location,
    Name,
    RecipeName,
    StackOption,
    UsageError,
    choose_grid,
    choose_preset,
    find_experiment,
    parse_stack,
    print_json,
)
from tune_experiments.settings import SweepSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Show what 'run' would do: cells, device time and disk. Starts nothing."""

    recipe: Positional[RecipeName]
    """Settings and default grid: smoke (seconds, to try an installation), digits (minutes, needs no data),
    cifar-tiny (minutes), cifar-small (hours on a CPU), paper (GPUs)."""
    randomization: Fractions = None
    """Levels of label randomization, e.g. 0,0.5,1."""
    sparsity: Fractions = None
    """Target sparsities, e.g. 0.5,0.9."""
    seeds: Integers = None
    """Seeds, e.g. 42,43,44."""
    name: Name = None
    """Name of the experiment; default: the recipe's."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    json: bool = False
    """Print JSON with every cell."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.durations import format_seconds
        from tune_experiments.plan import make_plan

        chosen = choose_preset(self.recipe)
        experiment = find_experiment(self.name or self.recipe, self.storage, READER_PATIENCE_SECONDS)
        grid = choose_grid(chosen.grid, self.randomization, self.sparsity, self.seeds)
        plan = make_plan(chosen, grid.cells(), experiment)
        as_dict = plan.to_dict()
        if self.json:
            print_json(as_dict)
            return EXIT_COMPLETE
        print(f"experiment   {experiment.location}")
        print(
            f"to run       {as_dict['num_train_cells']} trainings, {as_dict['num_prune_cells']} prunings"
            f" ({as_dict['num_finished']} cells are finished)"
        )
        print(f"device time  about {format_seconds(plan.device_seconds)} ({plan.basis})")
        print(f"disk         about {plan.disk_bytes / 1e6:,.1f} MB")
        return EXIT_COMPLETE


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options of every command that runs cells."""

    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    data: Folder = None
    """Folder of the TFRecord files; default: $RCSWEEP_DATA, then ./data. 'digits' needs none."""
    cpus_per_trial: int = 1
    """CPUs, and torch threads, of each trial. Small networks are fastest with 1."""
    gpus_per_trial: Annotated[float | None, arg(metavar="F")] = None
    """GPUs of each trial, fractions allowed; default: 1 where there are GPUs, else 0."""
    stack: StackOption = "auto"
    """Cells trained together as one grouped-convolution network. auto: several where that is faster by
    measurement (small networks on CPUs). A cell's bits depend on whether it is stacked, not on the size."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and activations; master weights, statistics and masks are float32 in either case.
    bfloat16 is for GPUs, and for CPUs that have instructions for it (AVX512-BF16, AMX); others get slower."""
    compile: bool = False
    """Fuse the networks by torch.compile: half a minute at the start of a trial. For long cells on GPUs."""
    address: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Ray cluster to use ('auto' on a cluster's node); default: this machine alone."""
    slots: Annotated[int | None, arg(metavar="N")] = None
    """Trials that the cluster may have room for once it has grown; default: those that it has now. Work is
    spread over them, so say it where the autoscaler adds the workers; without it 200 trials at most."""
    max_retries: int = 2
    """How often a cell is tried again, from its newest checkpoint, after its process died."""
    checkpoint_seconds: float = 60.0
    """Time between the checkpoints of a cell."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept while a cell runs; a finished cell keeps its network alone."""
    reuse_actors: bool = True
    """Let a trial take over the process of one that ended; its own would cost each some seconds."""

    def settings(self) -> SweepSettings:
        """The options as the sweep takes them.

        Raises:
            UsageError: one is out of range.
        """
        try:
            return SweepSettings(
                data_dir=self.data,
                address=self.address,
                cpus_per_trial=self.cpus_per_trial,
                gpus_per_trial=self.gpus_per_trial,
                slots=self.slots,
                stack=parse_stack(self.stack),
                precision=self.precision,
                compile=self.compile,
                max_retries=self.max_retries,
                checkpoint_seconds=self.checkpoint_seconds,
                keep_checkpoints=self.keep_checkpoints,
                reuse_actors=self.reuse_actors,
                command=shlex.join(["rcsweep", *sys.argv[1:]]),
            )
        except ValueError as error:
            raise UsageError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Run(SweepOptions):
    """Run a sweep: every cell of the grid that is not finished yet. The same command resumes and extends.

    Ctrl-C once: running cells write a checkpoint, then the sweep ends. Twice: it ends at once.
    """

    recipe: Positional[RecipeName]
    """Settings and default grid: smoke (seconds, to try an installation), digits (minutes, needs no data),
    cifar-tiny (minutes), cifar-small (hours on a CPU), paper (GPUs)."""
    randomization: Fractions = None
    """Levels of label randomization, e.g. 0,0.5,1."""
    sparsity: Fractions = None
    """Target sparsities, e.g. 0.5,0.9."""
    seeds: Integers = None
    """Seeds, e.g. 42,43,44."""
    name: Name = None
    """Name of the experiment; default: the recipe's."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from tune_experiments.run_command import run_and_report

        chosen = choose_preset(self.recipe)
        grid = choose_grid(chosen.grid, self.randomization, self.sparsity, self.seeds)
        experiment = find_experiment(self.name or self.recipe, self.storage)
        return run_and_report(chosen, grid.cells(), grid, experiment, self.settings())


@dataclass(frozen=True, kw_only=True)
class Retry(SweepOptions):
    """Run the failed cells of a sweep again, with the children of failed parents; or just the cells named."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    cells: Positional[tuple[str, ...]] = ()
    """Ids of cells, e.g. prune-p0.00-s42-dns-S0.900; default: every failed one."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from tune_experiments.run_command import run_and_report

        experiment = find_experiment(self.experiment, self.storage)
        spec = SweepSpec.read(experiment)
        if spec is None:
            raise UsageError(f"{experiment.location}: no sweep here (sweep.json is missing)")
        known = {cell.cell_id: cell for cell in spec.cells()}
        unknown = [cell_id for cell_id in self.cells if cell_id not in known]
        if unknown:
            raise UsageError(f"{', '.join(unknown)}: not in this sweep; see 'rcsweep status --json'")
        failed = [row["cell_id"] for row in read_rows(experiment) if row["status"] in FAILED_STATUSES]
        chosen = [known[cell_id] for cell_id in self.cells or failed]
        if not chosen:
            print(f"{experiment.location}: no cell has failed")
            return EXIT_COMPLETE
        timed = PRESETS.get(spec.recipe.name, PRESETS["digits"])()
        preset = dataclasses.replace(timed, recipe=spec.recipe)
        return run_and_report(preset, chosen, None, experiment, self.settings())
