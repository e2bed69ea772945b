"""The sweeps and clusters of docs/scaling.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.scaling.cluster import Cluster, Outcome
from benchmarks.scaling.costs import Costs, Line, read_costs
from benchmarks.scaling.simulation import simulate
from rc_core.cells import Cell, Grid
from rc_core.recipes import preset

PROFILE = "h100-s3"
GPUS = (1, 8, 64, 512)
# The paper's 30 cells a seed.
SEEDS = (3, 36, 334, 3_334)
LOSSES = (0.0, 0.01, 0.05, 0.2)
MIDDLE_SEEDS, MOST_SEEDS, MOST_GPUS = SEEDS[2], SEEDS[3], GPUS[-1]


class Scenario(NamedTuple):
    """A simulation that the document shows.

    Attributes:
        table: of which it is a row.
        name: of the row.
        num_seeds: of the paper's grid.
        cluster: what it runs on.
        changes: costs that differ from the profile's.
    """

    table: str
    name: str
    num_seeds: int
    cluster: Cluster
    changes: dict[str, Any]


def cells(num_seeds: int) -> list[Cell]:
    """The paper's grid with that many seeds."""
    return dataclasses.replace(preset("paper").grid, seeds=tuple(range(num_seeds))).cells()


def num_cells(num_seeds: int) -> int:
    """Their number."""
    grid: Grid = preset("paper").grid
    return num_seeds * len(grid.randomizations) * (1 + len(grid.sparsities))


def scenarios() -> Iterator[Scenario]:
    """Every row, table by table."""
    for num_seeds in SEEDS:
        for num_gpus in GPUS:
            name = f"{num_cells(num_seeds):,} cells, {num_gpus} GPU{'s' * (num_gpus > 1)}"
            yield Scenario("size", name, num_seeds, Cluster(num_gpus=num_gpus), {})
    yield from _losses()
    yield from _settings()
    for num_gpus, stack in ((1_024, 1), (2_048, 1), (4_096, 1), (4_096, 4)):
        name = f"{num_gpus:,} GPUs" + (f", stacks of {stack}" if stack > 1 else "")
        yield Scenario("beyond", name, MOST_SEEDS, Cluster(num_gpus=num_gpus, stack=stack), {})
    for bound, name in ((200, "at most 200 trials"), (None, "no bound")):
        cluster = Cluster(num_gpus=MOST_GPUS, is_empty=True, max_pending=bound)
        yield Scenario("empty", f"from no worker, {name}", MIDDLE_SEEDS, cluster, {})
    faster = {"node_start": 90.0}
    cluster = Cluster(num_gpus=MOST_GPUS, is_empty=True, max_pending=None)
    yield Scenario("empty", "no bound, nodes in 90 s", MIDDLE_SEEDS, cluster, faster)
    yield Scenario("empty", "all workers there", MIDDLE_SEEDS, Cluster(num_gpus=MOST_GPUS), {})


def _losses() -> Iterator[Scenario]:
    """One GPU a node, so that there are many losses, and a head that does not hold their successors up."""
    head = {"head_bytes_per_second": 1.25e9}
    for num_gpus in (64, MOST_GPUS):
        for rate in LOSSES:
            cluster = Cluster(num_gpus=num_gpus, gpus_per_node=1, losses_per_gpu_hour=rate)
            yield Scenario("losses", f"{num_gpus} GPUs, {rate:g} an hour", MIDDLE_SEEDS, cluster, head)
    slow = head | {"train_step": Line(0.0, 0.0549), "prune_step": Line(0.0, 0.0549)}
    for rate in LOSSES:
        cluster = Cluster(num_gpus=64, gpus_per_node=1, losses_per_gpu_hour=rate)
        name = f"64 GPUs at 54.9 ms a step, {rate:g} an hour"
        yield Scenario("losses", name, SEEDS[1], cluster, slow)
    name = f"the same at {LOSSES[-1]:g} an hour, no checkpoints"
    yield Scenario("losses", name, SEEDS[1], cluster, slow | {"checkpoint_every": 1e9})


def _settings() -> Iterator[Scenario]:
    """What moves the limits of the largest sweep on the largest cluster."""
    whole = Cluster(num_gpus=MOST_GPUS)
    floor = {"train_step": Line(0.0, 0.00033), "prune_step": Line(0.0, 0.00033)}
    slow = {"train_step": Line(0.0, 0.0036), "prune_step": Line(0.0, 0.0036)}
    rows: tuple[tuple[str, Cluster, dict[str, Any]], ...] = (
        ("as it is", whole, {}),
        ("driver 2 times as slow", whole, {"driver_trial": 0.038}),
        ("driver at its processor time", whole, {"driver_trial": 0.0067}),
        ("stacks of 4", dataclasses.replace(whole, stack=4), {}),
        ("steps of 3.6 ms", whole, slow),
        ("steps of 0.33 ms", whole, floor),
        ("steps of 0.33 ms, stacks of 4", dataclasses.replace(whole, stack=4), floor),
        ("S3 answers in 20 ms", whole, {"s3_latency": 0.02}),
        ("1 GPU a node", dataclasses.replace(whole, gpus_per_node=1), {}),
        ("1 GPU a node, 10 Gbit/s at the head", dataclasses.replace(whole, gpus_per_node=1),
         {"head_bytes_per_second": 1.25e9}),
    )  # fmt: skip
    for name, cluster, changes in rows:
        yield Scenario("settings", name, MIDDLE_SEEDS, cluster, changes)


def run(scenario: Scenario) -> Outcome:
    """Simulate one row."""
    costs: Costs = dataclasses.replace(read_costs(PROFILE), **scenario.changes)
    return simulate(cells(scenario.num_seeds), costs, scenario.cluster)
