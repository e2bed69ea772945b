"""A prediction held against a sweep: `digits` on this machine's two slots."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import conditions, sweeps
from benchmarks.scaling.cluster import Cluster
from benchmarks.scaling.costs import Costs, read_costs
from benchmarks.scaling.measure import NUM_SLOTS, measure_digits
from benchmarks.scaling.simulation import simulate
from benchmarks.trees import copy_working_tree
from rc_core.recipes import preset
from rc_core.stacking import stack_size

RECIPE, IMAGE_SIZE = "digits", 8


def predict(costs: Costs) -> float:
    """Sweep time of `rcsweep run digits` on two slots."""
    chosen = preset(RECIPE)
    stack = stack_size(chosen.recipe, IMAGE_SIZE, "cpu")
    cluster = Cluster(num_gpus=NUM_SLOTS, gpus_per_node=NUM_SLOTS, stack=stack, is_local=True)
    return simulate(chosen.grid.cells(), costs, cluster).makespan_seconds


def check(command: str, num_rounds: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Measure the costs, predict, run the sweep, compare.

    Args:
        command: that asked for it.
        num_rounds: sweeps, each in a fresh folder.
        report: takes a line about each measurement.
    """
    started = conditions.begin(command)
    measured = measure_digits(report)
    costs = dataclasses.replace(read_costs("two-cores"), **measured)
    predicted_seconds = predict(costs)
    report(f"predicted: {predicted_seconds:.1f} s of sweep time")
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_working_tree(Path(folder) / "product")
        work = sweeps.Work(RECIPE)
        measured_seconds = [sweeps.run_sweep(tree, work).sweep_seconds for _ in range(num_rounds)]
    report(f"measured: {', '.join(f'{seconds:.1f}' for seconds in measured_seconds)} s")
    return {
        "conditions": dataclasses.asdict(conditions.end(started)),
        "costs": measured,
        "predicted_seconds": predicted_seconds,
        "measured_seconds": measured_seconds,
    }
