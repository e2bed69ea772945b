"""What a sweep costs besides the work in its cells: time a cell, driver memory a cell, time of `status`.

Command:  python -m benchmarks.overhead [--cells 100,1000,3000] [--out FILE.json]
Time:     about 5 minutes on 2 CPU cores
Result:   one line a size; see docs/results/overhead.json

Cells do nothing but write their record, so that what is measured is Ray, the driver and storage.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import conditions
from rc_core.cells import Grid
from rc_core.experiment import RECORD_FILE, empty_row, write_json
from rc_core.recipes import preset
from rc_core.storage import open_storage
from tune_experiments import ray_environment
from tune_experiments.plan import make_plan
from tune_experiments.settings import SweepSettings

CHILDREN = (0.5, 0.7, 0.8, 0.9)

NUM_BASELINE_CELLS = 30


def no_op_trial(config: dict[str, Any], *, context: Any, train: Any, test: Any) -> None:
    """Write a finished cell's record and report it, without any work."""
    from ray import tune

    from tune_experiments.trainables import cells_of

    figures = {"train_accuracy": 1.0, "test_accuracy": 1.0, "sparsity": 0.0, "wall_seconds": 0.0}
    cells = cells_of(config)
    for cell in cells:
        row = empty_row(cell, context.recipe) | figures | {"status": "done", "steps": 1}
        write_json(open_storage(context.experiment).folder(cell.cell_id), RECORD_FILE, {"row": row})
    tune.report({"outcomes": {cell.cell_id: figures for cell in cells}})


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(num_cells: int, *, reuse_actors: bool = True) -> dict[str, Any]:
    """Run a sweep of no-op cells in this process."""
    ray_environment.prepare(None)
    from tune_experiments.sweep import run_sweep

    smoke = preset("smoke")
    seeds = tuple(range(num_cells // (1 + len(CHILDREN))))
    grid = Grid(randomizations=(0.0,), sparsities=CHILDREN, seeds=seeds)
    with tempfile.TemporaryDirectory() as root:
        experiment = open_storage(Path(root) / "overhead")
        plan = make_plan(smoke, grid.cells(), experiment)
        before_bytes = resident_bytes()
        settings = SweepSettings(reuse_actors=reuse_actors, stack=1)
        outcome = run_sweep(smoke.recipe, grid, plan, experiment, settings, no_op_trial)
        grown_bytes = resident_bytes() - before_bytes
        command = [sys.executable, "-m", "tune_experiments", "status", experiment.location]
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        status_seconds = time.monotonic() - start
    return {
        "num_cells": outcome.num_done,
        "reuse_actors": reuse_actors,
        "num_slots": outcome.num_slots,
        "sweep_seconds": round(outcome.sweep_seconds, 2),
        "overhead_seconds_per_cell": round(outcome.overhead_seconds_per_cell, 4),
        "driver_grown_bytes": grown_bytes,
        "status_seconds": round(status_seconds, 3),
    }


def main() -> None:
    """Measure each size in a process of its own, so that memory starts alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", default="100,1000,3000")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--no-reuse", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, reuse_actors=not arguments.no_reuse)))
        return
    started = conditions.begin("python -m benchmarks.overhead --cells " + arguments.cells)
    results = []
    # The baseline first: a process of its own for every trial.
    runs = [[str(NUM_BASELINE_CELLS), "--no-reuse"], *([size] for size in arguments.cells.split(","))]
    for run in runs:
        command = [sys.executable, "-m", "benchmarks.overhead", "--one", *run]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
        print(results[-1], flush=True)
    if len(results) > 2:
        first, last = results[1], results[-1]
        grown = last["driver_grown_bytes"] - first["driver_grown_bytes"]
        slope = grown / (last["num_cells"] - first["num_cells"])
        print(f"driver memory grows by {slope / 1e3:.1f} kB a cell")
    if arguments.out:
        report = dataclasses.asdict(conditions.end(started)) | {"results": results}
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
