"""Whole sweeps as users run them: the product against the version before stacks.

Command:  python -m benchmarks.sweeps [--quick] [--recipe digits] [--num-seeds N] [--rounds 3]
          [--out FILE.json]
Time:     about 4 minutes a round with `digits` on 2 CPU cores; --quick (one round of `smoke`): about 1
Result:   section `sweeps`, with --num-seeds `sweeps-N-seeds`, of docs/results/performance.json: cells a
          minute of sweep time (from the first trial's request to the end) and of wall time (the whole
          command: imports, Ray's start, report)

Every command runs in a fresh folder, and the candidates take turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import conditions
from benchmarks.harness import Comparison, alternate, summarize
from benchmarks.sections import write_section
from benchmarks.table import comparison_table
from benchmarks.trees import BEFORE_COMMIT, Tree, copy_working_tree, extract_commit
from rc_core.cells import Grid
from rc_core.recipes import preset

BEFORE, PRODUCT, PRODUCT_BFLOAT16 = "before", "product", "product, bfloat16"

_TAIL_CHARACTERS = 3_000


class SweepRun(NamedTuple):
    """One whole command.

    Attributes:
        num_cells: finished cells.
        sweep_seconds: as the sweep recorded it.
        wall_seconds: of the command.
    """

    num_cells: int
    sweep_seconds: float
    wall_seconds: float


class SweepError(RuntimeError):
    """A sweep failed, or its workers run other code than they should."""


class Work(NamedTuple):
    """What is run: a recipe's default grid, or the same with other seeds.

    Attributes:
        recipe: its name.
        num_seeds: seeds from the recipe's first one on; None = the default grid's own.
    """

    recipe: str
    num_seeds: int | None = None

    @property
    def grid(self) -> Grid:
        """The cells."""
        grid = preset(self.recipe).grid
        if self.num_seeds is None:
            return grid
        first = grid.seeds[0]
        return dataclasses.replace(grid, seeds=tuple(range(first, first + self.num_seeds)))

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of `rcsweep run`."""
        if self.num_seeds is None:
            return (self.recipe,)
        return (self.recipe, "--seeds", ",".join(map(str, self.grid.seeds)))

    def named(self, name: str) -> str:
        """A section's or table's name for this work."""
        return name if self.num_seeds is None else f"{name}-{self.num_seeds}-seeds"

    def __str__(self) -> str:
        return f"`rcsweep run {self.recipe}`" + (f", {self.num_seeds} seeds" if self.num_seeds else "")


def run_sweep(tree: Tree, work: Work, *options: str) -> SweepRun:
    """Run the work in a fresh folder with a tree's code and further options.

    Raises:
        SweepError: the command failed or left cells out.
    """
    with tempfile.TemporaryDirectory() as storage:
        command = [
            *(sys.executable, "-m", "tune_experiments", "run", *work.arguments),
            *("--storage", storage, *options),
        ]
        began_seconds = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=tree.root,
            env=tree.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        wall_seconds = time.perf_counter() - began_seconds
        if done.returncode:
            raise SweepError(f"{shlex.join(command)} ended with {done.returncode}:\n{_tail(done.stdout)}")
        return read_run(Path(storage) / work.recipe, wall_seconds, len(work.grid.cells()))


def read_run(experiment: Path, wall_seconds: float, num_cells: int) -> SweepRun:
    """What a finished sweep recorded.

    Args:
        experiment: its folder.
        wall_seconds: of the command.
        num_cells: that it should have finished, in one run.

    Raises:
        SweepError: it finished another number.
    """
    provenance = json.loads((experiment / "sweep.json").read_text())["provenance"]
    num_done = [run["num_done"] for run in provenance["runs"]]
    if num_done != [num_cells]:
        raise SweepError(f"{experiment}: cells by run = {num_done}, must be [{num_cells}]")
    return SweepRun(num_cells, float(provenance["sweep_seconds"]), wall_seconds)


def require_own_code(tree: Tree) -> None:
    """Start Ray as a sweep of the tree would, and look where driver and worker import from.

    Raises:
        SweepError: one of them imports something else.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.imported_code"],
        cwd=tree.root,
        env=tree.environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SweepError(f"Ray could not be asked which code it imports:\n{_tail(done.stderr)}")
    for process, paths in json.loads(done.stdout.splitlines()[-1]).items():
        for path in paths:
            if not Path(path).is_relative_to(tree.root):
                raise SweepError(
                    f"the {process} of {tree.version} imports {path}, not the code in {tree.root}"
                )


def cells_per_minute(runs: dict[str, list[SweepRun]], work: Work) -> tuple[Comparison, Comparison]:
    """Both comparisons: by sweep time and by wall time."""

    def compared(name: str, kind: str, seconds: Callable[[SweepRun], float]) -> Comparison:
        rates = {
            version: [60 * run.num_cells / seconds(run) for run in version_runs]
            for version, version_runs in runs.items()
        }
        return summarize(
            rates, name=work.named(name), title=f"{work}, {kind}", unit="cells/min", baseline=BEFORE
        )

    return (
        compared("sweep-time", "sweep time", lambda run: run.sweep_seconds),
        compared("wall-time", "wall time of the command", lambda run: run.wall_seconds),
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--recipe", default="digits", help="whose default grid is run")
    parser.add_argument("--num-seeds", type=int, help="of the grid, in place of the recipe's own")
    parser.add_argument("--rounds", type=int, default=3, help="commands of each candidate, at least 1")
    parser.add_argument("--out", type=Path, help="results file whose section is written")
    arguments = parser.parse_args()
    recipe, num_rounds = ("smoke", 1) if arguments.quick else (arguments.recipe, arguments.rounds)
    work = Work(recipe, arguments.num_seeds)
    started = conditions.begin(conditions.command_line("benchmarks.sweeps", sys.argv[1:]))
    with tempfile.TemporaryDirectory() as folder:
        product = copy_working_tree(Path(folder) / PRODUCT)
        trees = {BEFORE: extract_commit(BEFORE_COMMIT, Path(folder) / BEFORE), PRODUCT: product}
        for tree in trees.values():
            require_own_code(tree)
        runs = alternate(
            {
                BEFORE: partial(run_sweep, trees[BEFORE], work),
                PRODUCT: partial(run_sweep, product, work),
                PRODUCT_BFLOAT16: partial(run_sweep, product, work, "--precision", "bfloat16"),
            },
            repetitions=num_rounds,
            warmups=0,
            report=lambda line: print(f"{recipe}: {line}", file=sys.stderr, flush=True),
        )
    comparisons = cells_per_minute(runs, work)
    for comparison in comparisons:
        print(comparison_table(comparison))
    section: dict[str, Any] = {
        "conditions": dataclasses.asdict(conditions.end(started)),
        "product": product.version,
        "before": BEFORE_COMMIT,
        "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
        "runs": {version: [run._asdict() for run in each] for version, each in runs.items()},
    }
    if arguments.out:
        write_section(arguments.out, work.named("sweeps"), section)


def _tail(text: str) -> str:
    return text[-_TAIL_CHARACTERS:]


if __name__ == "__main__":
    main()
