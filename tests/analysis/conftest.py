"""Synthetic experiment folders with the measured accuracies of the digits preset (science, section 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rc_core.cells import Cell, Grid, PruneCell, cell_to_dict
from rc_core.experiment import DRIVER_FILE, FAILURE_FILE, HISTORY_FILE, RECORD_FILE, empty_row, write_json
from rc_core.recipes import Recipe, preset, recipe_to_dict
from rc_core.storage import LocalStorage

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
SEEDS = (42, 43, 44)
# Training accuracy by randomization: one triple (seeds 42, 43, 44) a sparsity.
DIGITS: dict[float, tuple[tuple[float, float, float], ...]] = {
    0.0: ((1, 1, 1), (1, 1, 1), (0.993, 0.993, 1), (0.992, 0.984, 0.991), (0.976, 0.946, 0.975)),
    0.5: (
        (0.939, 0.937, 0.935),
        (0.705, 0.573, 0.728),
        (0.606, 0.361, 0.539),
        (0.504, 0.488, 0.487),
        (0.463, 0.427, 0.299),
    ),
    1.0: (
        (0.961, 0.985, 0.849),
        (0.618, 0.627, 0.609),
        (0.399, 0.239, 0.397),
        (0.118, 0.127, 0.200),
        (0.110, 0.148, 0.140),
    ),
}
PROVENANCE = {
    "code_version": "0.1.0+g1234567",
    "versions": {"numpy": "2.4.0", "torch": "2.14.0"},
    "host": "lab-<7>",
    "created": "2026-01-02T03:04:05+00:00",
    "data_sha256": "d" * 64,
    "command": "rcsweep run digits --name <b>digits</b>",
    "sweep_seconds": 171.5,
}


def digits_accuracy(cell: Cell) -> float:
    """Measured training accuracy; every dense network had 1.000."""
    if not isinstance(cell, PruneCell):
        return 1.0
    return float(DIGITS[cell.randomization][SPARSITIES.index(cell.sparsity)][SEEDS.index(cell.seed)])


def record_of(cell: Cell, recipe: Recipe, accuracy: float, **changes: Any) -> dict[str, Any]:
    """A finished cell's record. Kept labels score higher than redrawn ones; together they give `accuracy`."""
    p = cell.randomization
    redrawn = max(0.1, accuracy - 0.3 * (1 - p)) if p else None
    kept = None if p == 1 else min(1.0, (accuracy - p * (redrawn or 0.0)) / (1 - p))
    sparsity = cell.sparsity if isinstance(cell, PruneCell) else None
    is_dense = sparsity is None
    row = empty_row(cell, recipe) | {
        "status": "done",
        "randomization_actual": p,
        "sparsity": None if sparsity is None else round(sparsity - 0.01, 3),
        "parent_sha256": None if is_dense else "a" * 64,
        "steps": recipe.train.num_steps if is_dense else recipe.prune.num_steps,
        "train_accuracy": accuracy,
        "train_loss": 1.0 - accuracy,
        "test_accuracy": 0.95 * (1 - p) * (1 - 0.2 * (sparsity or 0.0)) + 0.1 * p,
        "accuracy_kept": kept,
        "accuracy_redrawn": redrawn,
        "accuracy_true": None if redrawn is None else 0.1,
        "wall_seconds": 2.5,
        "images_per_second": 12_800.0,
        "device": "cpu",
        "threads": 1,
        "label_sha256": f"{int(100 * p):03d}{cell.seed}" + "b" * 59,
        "data_sha256": "d" * 64,
        "code_version": "0.1.0+g1234567",
    }
    return {
        "format": 1,
        "cell": cell_to_dict(cell),
        "row": row | changes,
        "layers": [],
        "labels": {"num_examples": 1000, "num_redrawn": int(1000 * p), "num_wrong": int(900 * p)},
        "provenance": {"host": "lab", "versions": {}},
    }


def history_of(cell: Cell, recipe: Recipe, accuracy: float, num_points: int = 5) -> dict[str, Any]:
    """Curves that end at the cell's accuracy: rising for a training, falling for a pruning."""
    is_dense = cell.phase == "train"
    num_steps = recipe.train.num_steps if is_dense else recipe.prune.num_steps
    parts = [(index + 1) / num_points for index in range(num_points)]
    start = 0.1 if is_dense else 1.0
    columns: dict[str, list[float]] = {
        "step": [round(num_steps * part) for part in parts],
        "learning_rate": [0.1 * (1 - 0.9 * part) for part in parts],
        "train_loss": [2.3 * (1 - (start + (accuracy - start) * part)) for part in parts],
        "train_accuracy": [start + (accuracy - start) * part for part in parts],
    }
    if isinstance(cell, PruneCell):
        columns |= {
            "sparsity_target": [cell.sparsity * part for part in parts],
            "sparsity": [(cell.sparsity - 0.01) * part for part in parts],
            "update_probability": [1.0 for _ in parts],
            "num_pruned": [100 for _ in parts],
            "num_spliced": [7 for _ in parts],
        }
    return {"format": 1, "columns": columns}


MakeSweep = Callable[..., Path]


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """Builds a sweep folder.

    Arguments: name, grid, recipe, accuracy (of a cell), failures {cell id: error}, missing (cell ids),
    running (cell ids), changes {cell id: {column: value}}, num_points a curve, with_spec.
    """

    def make(
        name: str = "digits",
        grid: Grid | None = None,
        *,
        recipe: Recipe | None = None,
        accuracy: Callable[[Cell], float] = digits_accuracy,
        failures: Mapping[str, str] | None = None,
        missing: Iterable[str] = (),
        running: Iterable[str] = (),
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        num_points: int = 5,
        with_spec: bool = True,
    ) -> Path:
        digits = preset("digits")
        recipe, grid = recipe or digits.recipe, grid or digits.grid
        storage = LocalStorage(tmp_path / name)
        failures, changes = failures or {}, changes or {}
        absent = {*failures, *missing, *running}
        for cell in grid.cells():
            folder = storage.folder(cell.cell_id)
            if cell.cell_id in failures:
                write_json(folder, FAILURE_FILE, {"error": failures[cell.cell_id]})
            if cell.cell_id in absent or (cell.parent is not None and cell.parent.cell_id in absent):
                continue
            value = accuracy(cell)
            record = record_of(cell, recipe, value, **changes.get(cell.cell_id, {}))
            write_json(folder, RECORD_FILE, record)
            write_json(folder, HISTORY_FILE, history_of(cell, recipe, value, num_points))
        if running:
            beat = {"time": time.time(), "host": "lab", "pid": 1, "started": time.time(), "ended": None}
            write_json(storage, DRIVER_FILE, beat | {"running": list(running), "num_slots": 2})
        if with_spec:
            spec = {
                "format": 1,
                "recipe": recipe_to_dict(recipe),
                "grids": [grid.to_dict()],
                "provenance": PROVENANCE,
            }
            write_json(storage, "sweep.json", spec)
        return storage.path

    return make
