"""Grid - finished cells = what to run; and what that will cost. Imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rc_core.cells import Cell, TrainCell
from rc_core.experiment import SWEEP_FILE, SweepSpec, read_records
from rc_core.recipes import Preset, Recipe, differing_fields, recipe_to_dict
from rc_core.storage import Storage


class PlanError(ValueError):
    """The sweep must not start as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a `rcsweep run` would do.

    Attributes:
        to_run: cells without a record, parents first.
        finished: ids of the requested cells that have a record, and of parents that the others need.
        cell_seconds: estimated device time of one cell, by phase.
        disk_bytes: estimated size of what `to_run` leaves on disk.
        basis: what the time estimate rests on.
    """

    to_run: tuple[Cell, ...]
    finished: tuple[str, ...]
    cell_seconds: dict[str, float]
    disk_bytes: int
    basis: str

    @property
    def device_seconds(self) -> float:
        """Estimated device time of `to_run`."""
        return sum(self.cell_seconds[cell.phase] for cell in self.to_run)

    def to_dict(self) -> dict[str, Any]:
        """Plain-JSON form."""
        return {
            "num_train_cells": sum(cell.phase == "train" for cell in self.to_run),
            "num_prune_cells": sum(cell.phase == "prune" for cell in self.to_run),
            "num_finished": len(self.finished),
            "device_seconds": self.device_seconds,
            "disk_bytes": self.disk_bytes,
            "basis": self.basis,
            "cells": [
                {"cell_id": cell.cell_id, "parent_id": cell.parent.cell_id if cell.parent else None}
                for cell in self.to_run
            ],
        }


def make_plan(preset: Preset, cells: Iterable[Cell], experiment: Storage) -> Plan:
    """Compare the cells that are wanted with what is in the experiment's folder.

    Args:
        preset: recipe and step times.
        cells: what is wanted; parents that are neither among them nor finished are added.
        experiment: the experiment's folder.

    Raises:
        PlanError: the folder holds a sweep of another recipe.
    """
    spec = SweepSpec.read(experiment)
    if spec is not None:
        require_same_recipe(preset.recipe, spec.recipe, experiment)
    wanted = {cell.cell_id: cell for cell in cells}
    parents = {cell.parent.cell_id: cell.parent for cell in wanted.values() if cell.parent is not None}
    records = read_records(experiment, wanted | parents)
    trains = [cell for cell in (parents | wanted).values() if cell.phase == "train"]
    prunes = [cell for cell in wanted.values() if cell.phase == "prune"]
    to_run = tuple(cell for cell in [*trains, *prunes] if cell.cell_id not in records)
    seconds, basis = _seconds_per_cell(preset, records)
    return Plan(
        to_run=to_run,
        finished=tuple(records),
        cell_seconds=seconds,
        disk_bytes=sum(cell_disk_bytes(preset.recipe, cell) for cell in to_run),
        basis=basis,
    )


def require_same_recipe(recipe: Recipe, existing: Recipe, experiment: Storage) -> None:
    """Refuse to mix two recipes under one name.

    Raises:
        PlanError: lists the fields that differ.
    """
    lines = differing_fields(recipe_to_dict(existing), recipe_to_dict(recipe))
    if lines:
        listed = "\n  ".join(lines)
        raise PlanError(
            f"{experiment.location}/{SWEEP_FILE} is a sweep of another recipe; the fields that differ "
            f"(there | asked for):\n  {listed}\nchoose another --name"
        )


def _seconds_per_cell(preset: Preset, records: dict[str, dict[str, Any]]) -> tuple[dict[str, float], str]:
    recipe = preset.recipe
    estimate = {
        "train": recipe.train.num_steps * preset.train_step_seconds,
        "prune": recipe.prune.num_steps * preset.prune_step_seconds,
    }
    measured: dict[str, list[float]] = {"train": [], "prune": []}
    for record in records.values():
        measured[record["row"]["phase"]].append(record["row"]["wall_seconds"])
    for phase, values in measured.items():
        if values:
            estimate[phase] = sum(values) / len(values)
    if records:
        return estimate, f"mean of {len(records)} finished cells"
    return estimate, f"step times measured on {preset.timed_on}"


def num_kernel_weights(recipe: Recipe, *, in_channels: int, num_classes: int = 10) -> int:
    """Convolution and dense weights of the recipe's network, counted without building it."""
    blocks_per_stage = (recipe.depth - 2) // 6
    total = 9 * in_channels * recipe.width
    channels = recipe.width
    for stage in range(3):
        out = recipe.width * 2**stage
        total += 9 * channels * out + 9 * out * out + channels * out  # first block, with its projection
        total += (blocks_per_stage - 1) * 2 * 9 * out * out
        channels = out
    return total + channels * num_classes


def cell_disk_bytes(recipe: Recipe, cell: Cell) -> int:
    """Size of a finished cell's folder: float32 weights, one mask byte each for a pruning, and JSON files.

    Batch-norm state and names are covered by a tenth on top.
    """
    bytes_per_weight = 4 if isinstance(cell, TrainCell) else 5
    return int(1.1 * bytes_per_weight * num_kernel_weights(recipe, in_channels=3)) + 30_000
