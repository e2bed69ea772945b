"""One seed of a recipe in slices of some minutes, without Ray: each call goes on where the last one stopped.

Command:  python -m benchmarks.paper_slices --out DIR [--seed 42] [--minutes 9] [--recipe paper]
          [--precision bfloat16] [--compile] [--stack K] [--device cuda]
Result:   DIR/<cell id>/ as of `rcsweep run`, DIR/table.csv, DIR/against_published.md, DIR/slices.json
Exit:     0 complete, 75 more to do, 3 complete but for cells that failed

Between two calls DIR may travel to another machine of the same kind. Calls with other settings are refused:
the rows of one table are computed in one way.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.slice_plan import chunks_of_seed, num_steps, seconds_left
from benchmarks.slice_report import is_cell, write_reports
from rc_core.cells import Cell
from rc_core.checkpointer import CellInterrupted
from rc_core.checkpoints import checkpoint_steps
from rc_core.dataset_info import dataset_info
from rc_core.datasets import load_recipe_splits
from rc_core.device_step import PRECISIONS, Numerics
from rc_core.execution import Execution, resolve_device
from rc_core.experiment import read_json, write_json
from rc_core.member import Job
from rc_core.provenance import package_versions, utc_now
from rc_core.recipes import PRESETS, Recipe, preset
from rc_core.runs import run_cells
from rc_core.storage import Storage, open_storage
from rc_core.training import NetworkPhase

COMPLETE, SOME_FAILED, MORE_TO_DO = 0, 3, 75
SLICES_FILE = "slices.json"
PROGRESS_SECONDS = 15.0
CHECKPOINT_SECONDS = 60.0


class Slice:
    """The time of one call, and what is said about it.

    Args:
        minutes: after which the cells are asked to stop.
        folder: of the seed.
        recipe: its settings.
        cells: all of the seed.
        progress_seconds: time between lines.
    """

    def __init__(
        self,
        minutes: float,
        folder: Storage,
        recipe: Recipe,
        cells: Sequence[Cell],
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        self._end_seconds = time.monotonic() + 60 * minutes
        self._folder, self._recipe, self._cells = folder, recipe, cells
        self._progress_seconds = progress_seconds
        self._rates: dict[str, float] = {}
        # Not the phase itself: its tensors would outlive it.
        self._told: tuple[Sequence[Cell], int, float] | None = None
        self._is_stopped = False

    def stop(self, *_: object) -> None:
        """End the slice now; also a signal handler."""
        self._is_stopped = True

    def is_over(self) -> bool:
        """Whether the cells should stop."""
        return self._is_stopped or time.monotonic() >= self._end_seconds

    def __call__(self, phase: NetworkPhase) -> None:
        """Hook: say now and then how far the phase is."""
        now = time.monotonic()
        if self._told is None or self._told[0] is not phase.cells:
            self._told = (phase.cells, phase.step, now)
        _, step, seconds = self._told
        if now - seconds < self._progress_seconds:
            return
        kind = phase.cells[0].phase
        self._rates[kind] = (phase.step - step) * len(phase.cells) / (now - seconds)
        self._told = (phase.cells, phase.step, now)
        first, others = phase.cells[0].cell_id, len(phase.cells) - 1
        name = f"{first} and {others} more" if others else first
        print(
            f"{name}: step {phase.step} of {phase.num_steps}, {self._rates[kind]:.1f} network steps/s, slice "
            f"ends in {max(0.0, self._end_seconds - now) / 60:.1f} min, {self.time_left(phase)}",
            flush=True,
        )

    def time_left(self, running: NetworkPhase | None = None) -> str:
        """About how long the seed still takes, for people."""
        now_at = {cell.cell_id: running.step for cell in running.cells} if running else {}
        left = {"train": 0, "prune": 0}
        for cell in self._cells:
            if not is_cell(self._folder, cell.cell_id):
                reached = checkpoint_steps(self._folder.folder(cell.cell_id))
                done = now_at.get(cell.cell_id, reached[0] if reached else 0)
                left[cell.phase] += num_steps(cell, self._recipe) - done
        seconds = seconds_left(left, self._rates)
        steps = f"{left['train']:,} training and {left['prune']:,} pruning steps left"
        return steps if seconds is None else f"{steps}, about {seconds / 3600:.2f} h"


def run_slice(arguments: argparse.Namespace, folder: Storage) -> int:
    """Run cells until the slice is over or none is left; the exit code."""
    chosen = preset(arguments.recipe)
    recipe = chosen.recipe
    log = _open_log(folder, arguments)
    failures: dict[str, str] = log["failures"]
    chunks = chunks_of_seed(chosen.grid, arguments.seed, arguments.stack)
    cells = [cell for chunk in chunks for cell in chunk]
    this = Slice(arguments.minutes, folder, recipe, cells)
    with _stopped_by_signals(this):
        _run_chunks(chunks, this, arguments, folder, log)
    write_reports(folder, chosen, arguments.seed, failures)
    open_cells = [
        cell for cell in cells if not is_cell(folder, cell.cell_id) and not _is_hopeless(cell, failures)
    ]
    print(f"{len(cells) - len(open_cells)} of {len(cells)} cells are over; {this.time_left()}", flush=True)
    if open_cells:
        return MORE_TO_DO
    return SOME_FAILED if failures else COMPLETE


def _run_chunks(
    chunks: Sequence[Sequence[Cell]],
    this: Slice,
    arguments: argparse.Namespace,
    folder: Storage,
    log: dict[str, Any],
) -> None:
    recipe, failures = preset(arguments.recipe).recipe, log["failures"]
    train, test = load_recipe_splits(recipe)
    num_classes = dataset_info(recipe.dataset).num_classes
    execution = Execution(
        device=arguments.device,
        stacked=arguments.stack > 1,
        numerics=Numerics(precision=arguments.precision, compile=arguments.compile),
        checkpoint_seconds=CHECKPOINT_SECONDS,
        keep_checkpoints=1,
        hooks=(this,),
        should_stop=this.is_over,
        report=lambda line: print(line, flush=True),
    )
    for chunk in chunks:
        jobs = [_job(folder, cell) for cell in chunk if not _is_hopeless(cell, failures)]
        if this.is_over():
            break
        outcomes = run_cells(jobs, recipe, train, test, num_classes, execution) if jobs else []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, CellInterrupted):
                failures[job.cell.cell_id] = f"{type(outcome).__name__}: {outcome}"
        write_json(folder, SLICES_FILE, log)


@contextlib.contextmanager
def _stopped_by_signals(this: Slice) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, this.stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _job(folder: Storage, cell: Cell) -> Job:
    parent = folder.folder(cell.parent.cell_id) if cell.parent else None
    return Job(cell, folder.folder(cell.cell_id), parent)


def _is_hopeless(cell: Cell, failures: dict[str, str]) -> bool:
    """Whether it, or what it starts from, has failed in a way that a second try would repeat."""
    return cell.cell_id in failures or (cell.parent is not None and cell.parent.cell_id in failures)


def _open_log(folder: Storage, arguments: argparse.Namespace) -> dict[str, Any]:
    """The file that says how the seed is run, with this call added.

    Raises:
        ValueError: earlier calls had other settings.
    """
    settings = {
        "recipe": arguments.recipe,
        "seed": arguments.seed,
        "precision": arguments.precision,
        "compile": arguments.compile,
        "stack": arguments.stack,
        "device": resolve_device(arguments.device).type,
    }
    log = read_json(folder, SLICES_FILE) or {"settings": settings, "failures": {}, "slices": []}
    if log["settings"] != settings:
        raise ValueError(
            f"{folder.location} was begun with {log['settings']}, this call has {settings}: give the same "
            "options, or another --out"
        )
    log["slices"].append({"started": utc_now(), "minutes": arguments.minutes, "versions": package_versions()})
    write_json(folder, SLICES_FILE, log)
    return log


def main(argv: Sequence[str] | None = None) -> int:
    """Run one slice, or just write the reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the seed")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which the cells are asked to stop")
    parser.add_argument("--recipe", choices=tuple(PRESETS), default="paper")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--compile", action="store_true", help="fuse the network by torch.compile")
    parser.add_argument("--stack", type=int, default=1, metavar="K", help="cells trained together")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--report-only", action="store_true", help="write the reports of what is there")
    arguments = parser.parse_args(argv)
    folder = open_storage(arguments.out)
    try:
        if arguments.report_only:
            log = read_json(folder, SLICES_FILE) or {"failures": {}}
            write_reports(folder, preset(arguments.recipe), arguments.seed, log["failures"])
            return COMPLETE
        return run_slice(arguments, folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
