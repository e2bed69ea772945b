"""`rcsweep plan`, `run`, `status`: sweeps."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from rc_core.experiment import STATUSES, read_driver, read_rows
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_CELLS_FAILED,
    EXIT_COMPLETE,
    Folder,
    Fractions,
    Integers,
    Location,
    Name,
    RecipeName,
    choose_grid,
    choose_preset,
    find_experiment,
    print_json,
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Show what 'run' would do: cells, device time and disk. Starts nothing."""

    recipe: Positional[RecipeName]
    """Settings and default grid."""
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
        from tune_experiments.plan import make_plan
        from tune_experiments.progress import format_seconds

        chosen = choose_preset(self.recipe)
        experiment = find_experiment(self.name or self.recipe, self.storage)
        plan = make_plan(
            chosen, choose_grid(chosen.grid, self.randomization, self.sparsity, self.seeds), experiment
        )
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
class Run:
    """Run a sweep: every cell of the grid that is not finished yet. The same command resumes and extends."""

    recipe: Positional[RecipeName]
    """Settings and default grid."""
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
    data: Folder = None
    """Folder of the TFRecord files; default: $RCSWEEP_DATA, then ./data. 'digits' needs none."""
    cpus_per_trial: int = 1
    """CPUs, and torch threads, of each trial. Small networks are fastest with 1."""
    gpus_per_trial: Annotated[float | None, arg(metavar="F")] = None
    """GPUs of each trial, fractions allowed; default: 1 where there are GPUs, else 0."""
    address: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Ray cluster to use ('auto' on a cluster's node); default: this machine alone."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        chosen = choose_preset(self.recipe)
        grid = choose_grid(chosen.grid, self.randomization, self.sparsity, self.seeds)
        experiment = find_experiment(self.name or self.recipe, self.storage)
        from tune_experiments.run_command import run_and_report
        from tune_experiments.settings import SweepSettings

        settings = SweepSettings(
            data_dir=self.data,
            address=self.address,
            cpus_per_trial=self.cpus_per_trial,
            gpus_per_trial=self.gpus_per_trial,
            command=shlex.join(["rcsweep", *sys.argv[1:]]),
        )
        return run_and_report(chosen, grid, experiment, settings)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Show the state of a sweep, from its storage alone: also while it runs, also from another machine."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    json: bool = False
    """Print JSON with every cell."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        experiment = find_experiment(self.experiment, self.storage)
        rows = read_rows(experiment)
        counts = {status: sum(row["status"] == status for row in rows) for status in STATUSES}
        driver = read_driver(experiment)
        if self.json:
            cells = [
                {key: row[key] for key in ("cell_id", "status", "train_accuracy", "error")} for row in rows
            ]
            print_json({"counts": counts, "driver": driver, "cells": cells})
        else:
            print(f"{experiment.location}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
            alive = f"process {driver['pid']} on {driver['host']}" if driver else "none"
            print(f"driver: {alive}")
            for row in rows:
                if row["status"] in ("failed", "parent-failed"):
                    print(f"{row['status']:<14} {row['cell_id']:<32} {row['error']}")
        num_failed = counts["failed"] + counts["parent-failed"]
        return EXIT_CELLS_FAILED if num_failed else EXIT_COMPLETE
