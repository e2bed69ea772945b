"""What it costs to read and to report a big experiment: seconds and memory by number of cells.

Command:  python -m benchmarks.analysis_scale [--cells 1000,10000] [--out FILE.json]
Time:     about 5 minutes on 2 CPU cores, most of them to write the experiments
Result:   one line a size; see docs/results/analysis-scale.json

The experiments are synthetic, of the `cifar-small` recipe: records with every column and every layer, curves
of 50 points. Each measurement runs in a process of its own, so that memory starts alike; seconds are those of
the call, without imports. Files are in the page cache, where the writer left them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from analysis import index
from analysis.report import build_report
from analysis.results import load, load_history
from rc_core.cells import Cell, Grid, PruneCell, cell_to_dict
from rc_core.experiment import HISTORY_FILE, RECORD_FILE, SweepSpec, empty_row, write_json
from rc_core.provenance import code_version, package_versions, utc_now
from rc_core.readers import read_all
from rc_core.recipes import Recipe, preset, recipe_to_dict
from rc_core.stamps import SETTLED_SECONDS
from rc_core.storage import LocalStorage, Storage
from rc_core.watched_states import WatchedStates

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
NUM_LOG_POINTS = 50
NUM_LAYERS = 22
NUM_SLOTS = 16
NUM_NEW_CELLS = 10
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def grid_of(num_cells: int) -> Grid:
    """A grid of about that many cells: each training has nine prunings."""
    num_trainings = num_cells // (1 + len(SPARSITIES))
    num_levels = 20 if num_trainings >= 1000 else 5
    levels = tuple(round(level / (num_levels - 1), 2) for level in range(num_levels))
    return Grid(randomizations=levels, sparsities=SPARSITIES, seeds=tuple(range(num_trainings // num_levels)))


def accuracy_of(cell: Cell, rng: np.random.Generator) -> float:
    """Falls with sparsity, the earlier the more labels are random."""
    if not isinstance(cell, PruneCell):
        return 1.0
    fall = (cell.sparsity - 0.4) * (0.3 + cell.randomization)
    return float(np.clip(1 - fall + rng.normal(0, 0.03), 0, 1))


def write_cell(experiment: Storage, cell: Cell, recipe: Recipe, number: int) -> None:
    """Write a finished cell's record and curves."""
    rng = np.random.default_rng(number)
    accuracy = accuracy_of(cell, rng)
    sparsity = cell.sparsity if isinstance(cell, PruneCell) else 0.0
    num_steps = recipe.prune.num_steps if isinstance(cell, PruneCell) else recipe.train.num_steps
    started = BEGUN + timedelta(seconds=60 * (number // NUM_SLOTS))
    ended = started + timedelta(seconds=50 + float(rng.uniform(0, 9)))
    begun = {"started": started.isoformat(), "host": f"node-{number % NUM_SLOTS // 4}", "pid": 1000 + number}
    row = empty_row(cell, recipe) | {
        "status": "done",
        "randomization_actual": cell.randomization,
        "sparsity": sparsity,
        "parent_sha256": f"{number:064x}" if isinstance(cell, PruneCell) else None,
        "steps": num_steps,
        "train_accuracy": accuracy,
        "train_loss": 2.3 * (1 - accuracy),
        "test_accuracy": float(rng.uniform(0.1, 0.7)),
        "accuracy_kept": accuracy if cell.randomization < 1 else None,
        "accuracy_redrawn": accuracy if cell.randomization else None,
        "accuracy_true": 0.1 if cell.randomization else None,
        "wall_seconds": (ended - started).total_seconds(),
        "images_per_second": 12_345.6,
        "device": "cpu",
        "threads": 1,
        "label_sha256": f"{hash((cell.randomization, cell.seed)) & 0xFFFFFFFF:064x}",
        "data_sha256": "d" * 64,
        "code_version": "0.1.0+g1234567",
        "stacked": False,
        "precision": "float32",
    }
    layers = [
        {"name": f"stages.{layer}.conv.weight", "shape": [16, 16, 3, 3], "num_weights": 2304, "num_kept": 230}
        for layer in range(NUM_LAYERS)
    ]
    record = {
        "format": 1,
        "cell": cell_to_dict(cell),
        "recipe": recipe_to_dict(recipe),
        "row": row,
        "layers": layers if isinstance(cell, PruneCell) else [],
        "labels": {"num_examples": 5000, "num_redrawn": 2500, "num_wrong": 2250},
        "checkpoint_sha256": f"{number:064x}",
        "provenance": begun
        | {
            "versions": {"numpy": "2.4.0", "torch": "2.14.0"},
            "ended": ended.isoformat(),
            "attempts": [begun],
        },
    }
    steps = [num_steps * (point + 1) // NUM_LOG_POINTS for point in range(NUM_LOG_POINTS)]
    columns: dict[str, list[float]] = {
        "step": list(steps),
        "learning_rate": [0.1 / (1 + step) for step in steps],
        "train_loss": rng.uniform(0, 2.3, NUM_LOG_POINTS).tolist(),
        "train_accuracy": rng.uniform(0, 1, NUM_LOG_POINTS).tolist(),
    }
    if isinstance(cell, PruneCell):
        columns |= {
            "sparsity_target": [sparsity * step / num_steps for step in steps],
            "sparsity": rng.uniform(0, sparsity, NUM_LOG_POINTS).tolist(),
            "update_probability": rng.uniform(0, 1, NUM_LOG_POINTS).tolist(),
            "num_pruned": rng.integers(0, 10**5, NUM_LOG_POINTS).tolist(),
            "num_spliced": rng.integers(0, 10**5, NUM_LOG_POINTS).tolist(),
        }
    folder = experiment.folder(cell.cell_id)
    write_json(folder, HISTORY_FILE, {"format": 1, "columns": columns})
    write_json(folder, RECORD_FILE, record)


def write_experiment(experiment: Storage, num_cells: int) -> None:
    """Write an experiment of which all but `NUM_NEW_CELLS` cells are finished."""
    recipe, grid = preset("cifar-small").recipe, grid_of(num_cells)
    run = {"started": BEGUN.isoformat(), "ended": utc_now(), "num_slots": NUM_SLOTS}
    SweepSpec(recipe, [grid], {"command": "rcsweep run cifar-small", "runs": [run]}).write(experiment)
    cells = list(enumerate(grid.cells()))[:-NUM_NEW_CELLS]
    read_all(lambda numbered: write_cell(experiment, numbered[1], recipe, numbered[0]), cells)


def finish_cells(experiment: Storage) -> None:
    """Write the last `NUM_NEW_CELLS` cells."""
    spec = SweepSpec.read(experiment)
    assert spec is not None
    for number, cell in list(enumerate(spec.cells()))[-NUM_NEW_CELLS:]:
        write_cell(experiment, cell, spec.recipe, number)


def read_both(experiment: Path) -> None:
    """The result table and all curves."""
    frame = load(experiment)
    load_history(experiment, frame.loc[frame["status"] == "done", "cell_id"])


def watch(experiment: Path) -> Callable[[], object]:
    """A second look at the states, after a first one that is not measured."""
    watched = WatchedStates(LocalStorage(experiment))
    watched.refresh()
    return watched.refresh


WORK: dict[str, Callable[[Path], Callable[[], object]]] = {
    "read": lambda experiment: lambda: read_both(experiment),
    "report": lambda experiment: lambda: build_report(experiment),
    "watch": watch,
}


def measure_here(work: str, experiment: Path) -> dict[str, float]:
    """Seconds of one piece of work in this process, and by how much its peak memory grew."""
    do = WORK[work](experiment)
    before_bytes = peak_bytes()
    start = time.perf_counter()
    result = do()
    seconds = time.perf_counter() - start
    size = {"size_bytes": len(result.encode())} if isinstance(result, str) else {}
    return {"seconds": round(seconds, 3), "peak_grown_bytes": peak_bytes() - before_bytes, **size}


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_apart(work: str, experiment: Path) -> dict[str, float]:
    """As `measure_here`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.analysis_scale", "--work", work, str(experiment)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_size(num_cells: int) -> dict[str, Any]:
    """Every measurement of one size."""
    with tempfile.TemporaryDirectory() as root:
        experiment = Path(root) / "experiment"
        write_experiment(LocalStorage(experiment), num_cells)
        time.sleep(SETTLED_SECONDS)  # what was written just now is not taken into the index
        cold = measure_apart("read", experiment)
        index_bytes = sum(file.stat().st_size for file in (experiment / index.FOLDER).glob("*"))
        warm = min((measure_apart("read", experiment) for _ in range(3)), key=lambda found: found["seconds"])
        finish_cells(LocalStorage(experiment))
        refresh = measure_apart("read", experiment)
        found = {
            "num_cells": len(grid_of(num_cells).cells()),
            "cold": cold,
            "warm": warm,
            "refresh": refresh,
            "watch": measure_apart("watch", experiment),
            "report": measure_apart("report", experiment),
            "index_bytes": index_bytes,
        }
        shutil.rmtree(experiment)
    return found


def format_line(found: dict[str, Any]) -> str:
    """One size as a line of the table."""
    parts = [f"{found['num_cells']:>7}"]
    for name in ("cold", "warm", "refresh", "watch", "report"):
        parts.append(f"{found[name]['seconds']:>8.3f}")
    parts += [f"{found[name]['peak_grown_bytes'] / 1e6:>8.0f}" for name in ("cold", "warm", "report")]
    parts += [f"{size / 1e6:>8.1f}" for size in (found["index_bytes"], found["report"]["size_bytes"])]
    return " ".join(parts)


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", default="1000,10000")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(measure_here(arguments.work[0], Path(arguments.work[1]))))
        return
    print(
        f"{'':>7} {'seconds':>44} {'grown, MB':>26} {'file, MB':>17}\n"
        f"{'cells':>7} {'cold':>8} {'warm':>8} {'refresh':>8} {'watch':>8} {'report':>8} "
        f"{'cold':>8} {'warm':>8} {'report':>8} {'index':>8} {'report':>8}"
    )
    results = []
    for size in arguments.cells.split(","):
        results.append(measure_size(int(size)))
        print(format_line(results[-1]), flush=True)
    if arguments.out:
        report = {
            "command": "python -m benchmarks.analysis_scale --cells " + arguments.cells,
            "code_version": code_version(),
            "versions": package_versions(),
            "cpu_count": os.cpu_count(),
            "date": utc_now(),
            "results": results,
        }
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
