"""`rcsweep train`, `prune`, `eval`: one cell, without Ray."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rc_core.cells import PruneCell, TrainCell, cell_from_dict
from rc_core.recipes import Recipe, recipe_from_dict
from rc_core.storage import open_storage
from tune_experiments.commands.options import (
    EXIT_COMPLETE,
    Folder,
    RecipeName,
    StackOption,
    UsageError,
    choose_preset,
    parse_stack,
    print_json,
)


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Options of both commands that run a cell."""

    out: Path
    """Folder for checkpoint, curves and record."""
    data: Folder = None
    """Folder of the TFRecord files; default: $RCSWEEP_DATA, then ./data."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 1
    """CPU threads. Results are bit-identical only at equal counts."""
    stack: StackOption = "auto"
    """As of 'rcsweep run': above 1, or with auto where a sweep would stack, the cell has the bits that it has
    in a stack."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and activations; master weights, statistics and masks are float32 in either case."""
    compile: bool = False
    """Fuse the network by torch.compile: half a minute at the start. For long cells on GPUs."""
    json: bool = False
    """Print the result row as JSON."""


@dataclass(frozen=True, kw_only=True)
class Train(CellOptions):
    """Train one dense network on randomized labels, without Ray. Run again, it continues where it stopped."""

    recipe: RecipeName
    """Settings; see 'rcsweep run --help'."""
    randomization: float
    """Probability that a label is redrawn, 0 to 1."""
    seed: int
    """Seed of every random stream."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        chosen = choose_preset(self.recipe)
        try:
            cell = TrainCell(randomization=self.randomization, seed=self.seed)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return _run_single(cell, chosen.recipe, None, self)


@dataclass(frozen=True, kw_only=True)
class Prune(CellOptions):
    """Prune one trained network with Dynamic Network Surgery, without Ray."""

    parent: Path
    """Folder of a finished training ('rcsweep train', or a cell of a sweep)."""
    sparsity: float
    """Target sparsity, masked / prunable weights, 0 to 1."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.finished import read_finished_record

        record = read_finished_record(open_storage(self.parent))
        trained = cell_from_dict(record["cell"])
        if not isinstance(trained, TrainCell):
            raise UsageError(f"--parent {self.parent}: holds {trained.cell_id}; a training is needed")
        try:
            cell = PruneCell(randomization=trained.randomization, seed=trained.seed, sparsity=self.sparsity)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return _run_single(cell, recipe_from_dict(record["recipe"]), self.parent, self)


def _run_single(
    cell: TrainCell | PruneCell, recipe: Recipe, parent: Path | None, options: CellOptions
) -> int:
    from rc_core.dataset_info import dataset_info
    from rc_core.datasets import load_recipe_splits
    from rc_core.device_step import Numerics
    from rc_core.execution import Execution, resolve_device
    from rc_core.runs import run_cell
    from rc_core.stacking import stack_size
    from tune_experiments.progress import StepProgress

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    train, test = load_recipe_splits(recipe, data_dir=options.data)
    device_type = resolve_device(options.device).type
    stack = parse_stack(options.stack) or stack_size(recipe, train.images.shape[1], device_type)
    record = run_cell(
        cell,
        recipe,
        train,
        test,
        dataset_info(recipe.dataset, options.data).num_classes,
        open_storage(options.out),
        parent=open_storage(parent) if parent else None,
        execution=Execution(
            device=options.device,
            threads=options.threads,
            stacked=stack > 1,
            numerics=Numerics(precision=options.precision, compile=options.compile),
            hooks=(StepProgress(cell.cell_id, sys.stderr),),
            report=say,
        ),
    )
    row = record["row"]
    if options.json:
        print_json(row)
    else:
        sparsity = f", sparsity {row['sparsity']:.4f}" if cell.parent else ""
        print(
            f"{cell.cell_id}: train accuracy {row['train_accuracy']:.4f}, test {row['test_accuracy']:.4f}"
            f"{sparsity}, {row['steps']} steps in {row['wall_seconds']:.1f} s -> {options.out}"
        )
    return EXIT_COMPLETE


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Measure a finished network again, on its training or test split."""

    cell: Positional[Annotated[Path, arg(metavar="DIR")]]
    """Folder of a finished cell."""
    split: Literal["train", "test"] = "train"
    """Training split with the cell's own randomized labels, or test split with true labels."""
    data: Folder = None
    """Folder of the TFRecord files; default: $RCSWEEP_DATA, then ./data."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 1
    """CPU threads."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.finished import evaluate_finished

        figures = evaluate_finished(
            open_storage(self.cell),
            self.split,
            data_dir=self.data,
            device=self.device,
            threads=self.threads,
        )
        if self.json:
            print_json(figures)
        else:
            for name, value in figures.items():
                print(f"{name:<20} {'-' if value is None else value}")
        return EXIT_COMPLETE
