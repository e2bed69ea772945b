"""The costs of this machine, each measured by itself and none in a sweep of real cells.

Sweeps of cells that do nothing give the driver's part, stacks of the recipe `digits` give steps and set-up
with both cores busy, and a moto server counts requests to S3.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import product
from benchmarks.overhead import no_op_trial
from benchmarks.scaling.costs import Line
from rc_core.cells import Cell, Grid, PruneCell, TrainCell
from rc_core.datasets import load_recipe_splits
from rc_core.examples import to_examples
from rc_core.execution import Execution
from rc_core.member import Job
from rc_core.process_settings import prepare_process
from rc_core.recipes import Recipe, preset
from rc_core.runs import run_cells
from rc_core.storage import Storage, open_storage
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, build_model, initial_state

NUM_SLOTS = 2
STACKS = (2, 8, 16)
BURST_SECONDS = 3.0
NO_OP_CELLS, NUM_STARTS = (50, 500), 3
REPORTS = (0, 40)
NUM_CLASSES = 10
CHILDREN = (0.5, 0.7, 0.8, 0.9)


def fit_line(points: dict[int, float]) -> Line:
    """The straight line of least squares through cost by number of networks, not falling, not below 0."""
    slope, intercept = np.polyfit(list(points), list(points.values()), 1)
    return Line(max(0.0, round(float(intercept), 7)), max(0.0, round(float(slope), 7)))


def both_slots(function: Callable[..., float], *arguments: Any) -> float:
    """Mean of a function's results in two processes at once, as in a sweep on two slots."""
    with multiprocessing.get_context("spawn").Pool(NUM_SLOTS) as pool:
        results = [pool.apply_async(function, arguments) for _ in range(NUM_SLOTS)]
        return sum(result.get() for result in results) / NUM_SLOTS


def step_seconds(recipe: Recipe, phase: str, num_networks: int) -> float:
    """Time of a step of a stack, in this process."""
    prepare_process(1)
    train, _ = load_recipe_splits(recipe)
    steps = (
        product.dense_steps(recipe, train, NUM_CLASSES, num_networks)
        if phase == "train"
        else product.prune_steps(recipe, train, NUM_CLASSES, 0.9, num_networks)
    )
    for _ in itertools.islice(steps, 10):
        pass
    count, begin_seconds = 0, time.perf_counter()
    for _ in steps:
        count += 1
        if time.perf_counter() - begin_seconds > BURST_SECONDS:
            break
    return (time.perf_counter() - begin_seconds) / count


def setup_seconds(recipe: Recipe, num_networks: int) -> float:
    """Time of a stack apart from its steps: mean of a training's and a pruning's, of one step each."""
    one_step = dataclasses.replace(
        recipe,
        train=dataclasses.replace(recipe.train, num_steps=1),
        prune=dataclasses.replace(recipe.prune, num_steps=1),
    )
    train, test = load_recipe_splits(recipe)
    execution = Execution(stacked=True, report=lambda line: None)
    parents = [TrainCell(randomization=0.5, seed=seed) for seed in range(num_networks)]
    children = [PruneCell(randomization=0.5, seed=cell.seed, sparsity=0.9) for cell in parents]
    with tempfile.TemporaryDirectory() as folder:
        root = open_storage(folder)
        seconds = []
        for cells in (parents[:1], parents, children):  # the first warms the process up
            begin_seconds = time.perf_counter()
            run_cells(_jobs(cells, root), one_step, train, test, NUM_CLASSES, execution)
            seconds.append(time.perf_counter() - begin_seconds)
    return (seconds[1] + seconds[2]) / 2


def _jobs(cells: Any, root: Storage) -> list[Job]:
    return [
        Job(cell, root.folder(cell.cell_id), root.folder(cell.parent.cell_id) if cell.parent else None)
        for cell in cells
    ]


def reporting_trial(config: dict[str, Any], *, context: Any, train: Any, test: Any) -> None:
    """As `no_op_trial`, with signs of life before the end."""
    from ray import tune

    for step in range(REPORTS[1]):
        tune.report({"step": step, "num_steps": REPORTS[1]})
    no_op_trial(config, context=context, train=train, test=test)


def driver_figures(num_cells: int, num_reports: int) -> tuple[float, float]:
    """Sweep time, and processor time of the driver's loop, of a sweep of cells that do nothing."""
    from tune_experiments import ray_environment

    ray_environment.prepare(None)
    from tune_experiments.plan import make_plan
    from tune_experiments.settings import SweepSettings
    from tune_experiments.sweep import run_sweep

    smoke = preset("smoke")
    seeds = tuple(range(num_cells // (1 + len(CHILDREN))))
    grid = Grid(randomizations=(0.0,), sparsities=CHILDREN, seeds=seeds)
    with tempfile.TemporaryDirectory() as root:
        experiment = open_storage(Path(root) / "no-op")
        plan = make_plan(smoke, grid.cells(), experiment)
        begin_seconds = time.thread_time()
        trial = reporting_trial if num_reports else no_op_trial
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            outcome = run_sweep(smoke.recipe, grid, plan, experiment, SweepSettings(stack=1), trial)
        return outcome.sweep_seconds, time.thread_time() - begin_seconds


def sweep_seconds(num_cells: int) -> float:
    """Sweep time of cells that do nothing, of a driver that imports beside Ray, as a user's."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--one", str(num_cells)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["sweep_seconds"])


def driver_costs() -> dict[str, float]:
    """The driver's work for a trial and a sign of life, a slot's idle time, a sweep's beginning and end."""

    def run(num_cells: int, num_reports: int) -> tuple[float, float]:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(driver_figures, (num_cells, num_reports))

    few, many = NO_OP_CELLS
    _, loop_few = run(few, 0)
    _, loop_many = run(many, 0)
    # How long processes take to start depends on what else goes on: the median of several.
    wall_few = statistics.median(sweep_seconds(few) for _ in range(NUM_STARTS))
    wall_many = sweep_seconds(many)
    _, loop_reports = run(few, REPORTS[1])
    loop_seconds = (loop_many - loop_few) / (many - few)
    wall_seconds = (wall_many - wall_few) / (many - few)
    return {
        "driver_trial": loop_seconds,
        "driver_report": max(0.0, (loop_reports - loop_few) / (few * REPORTS[1])),
        "turnaround": max(0.0, NUM_SLOTS * wall_seconds - loop_seconds),
        "process_start": wall_few - few * wall_seconds,
    }


def beat_seconds_per_cell(num_seeds: int = 1_000) -> float:
    """The driver's work for a heartbeat, per cell of the sweep."""
    from tune_experiments.progress import SweepProgress
    from tune_experiments.queue import CellQueue

    grid = Grid(randomizations=(0.0, 1.0), sparsities=CHILDREN, seeds=tuple(range(num_seeds)))
    queue = CellQueue(grid.cells())
    progress = SweepProgress(queue, 2, {"train": 1.0, "prune": 1.0})
    seconds = []
    for _ in range(5):
        begin_seconds = time.perf_counter()
        progress.eta_seconds()
        seconds.append(time.perf_counter() - begin_seconds)
    return min(seconds) / len(queue.cells)


def state_bytes(recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Sizes of tensors by phase: of a checkpoint, and of what a finished cell keeps."""
    images = np.zeros((recipe.train.batch_size, 32, 32, 3), np.uint8)
    examples = to_examples(images, np.arange(len(images)) % NUM_CLASSES, torch.device("cpu"))
    model = build_model(recipe, in_channels=3, num_classes=NUM_CLASSES, device=torch.device("cpu"))
    parent = TrainCell(randomization=0.0, seed=0)
    child = PruneCell(randomization=0.0, seed=0, sparsity=0.9)
    start = initial_state(recipe, model, 0)
    training = DenseTraining([parent], recipe, model, [examples])
    surgery = Surgery([child], recipe, model, [examples], [start])
    sizes = {}
    for name, phase in (("train", training), ("prune", surgery)):
        tensors = phase.tensors(0)
        size = {key: tensor.numel() * tensor.element_size() for key, tensor in tensors.items()}
        final = sum(size[key] for key in size if key.startswith(("model.", "mask.")))
        sizes[name] = (sum(size.values()), final)
    return sizes


@contextmanager
def counted_s3() -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """A bucket on the loopback interface, and a function that counts requests since it was last called."""
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
            server = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            deadline_seconds = time.monotonic() + 60
            while not (found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())):
                if server.poll() is not None or time.monotonic() > deadline_seconds:
                    raise RuntimeError(f"the S3 server did not start: {log.read_text()}")
                time.sleep(0.1)
            os.environ |= {**credentials, "AWS_ENDPOINT_URL": found[1], "AWS_EC2_METADATA_DISABLED": "true"}
            from pyarrow.fs import S3FileSystem

            endpoint = found[1].removeprefix("http://")
            S3FileSystem(
                endpoint_override=endpoint, scheme="http", region="us-east-1", allow_bucket_creation=True
            ).create_dir("bucket")
            seen = 0

            def count() -> dict[str, int]:
                nonlocal seen
                requests = re.findall(r'"([A-Z]+) \S+ HTTP/1\.1', log.read_text())
                new, seen = requests[seen:], len(requests)
                reads = sum(method in ("GET", "HEAD") for method in new)
                return {"read": reads, "write": len(new) - reads}

            count()
            yield "s3://bucket/sweep", count
        finally:
            server.terminate()
            server.wait()


def s3_requests() -> dict[str, dict[str, int]]:
    """Requests of a training, a pruning, one checkpoint of either, and a look for a request to stop."""
    from tune_experiments.stop_request import StopPoll

    recipe = preset("smoke").recipe
    train, test = load_recipe_splits(recipe)
    cells: list[Cell] = [TrainCell(randomization=0.0, seed=0)]
    cells.append(PruneCell(randomization=0.0, seed=0, sparsity=0.9))
    counts: dict[str, dict[str, int]] = {}
    with counted_s3() as (location, count):
        for every, name in ((1e9, ""), (0.0, " with checkpoints")):
            root = open_storage(location).folder(f"every-{every:g}")
            for cell in cells:
                execution = Execution(report=lambda line: None, checkpoint_seconds=every, keep_checkpoints=2)
                run_cells(_jobs([cell], root), recipe, train, test, NUM_CLASSES, execution)
                counts[cell.phase + name] = count()
        poll = StopPoll(open_storage(location), "token")
        poll._next_seconds = 0.0
        poll()
        counts["poll"] = count()
    for phase, schedule in (("train", recipe.train), ("prune", recipe.prune)):
        with_checkpoints, without = counts.pop(f"{phase} with checkpoints"), counts[phase]
        counts[f"{phase} checkpoint"] = {
            kind: round((with_checkpoints[kind] - without[kind]) / (schedule.num_steps - 1))
            for kind in ("read", "write")
        }
    return counts


def measure_digits(report: Callable[[str], None]) -> dict[str, Any]:
    """The costs that a sweep of `digits` on two slots has, none of them taken from such a sweep.

    Args:
        report: takes a line about each, as it is measured.
    """
    recipe = preset("digits").recipe
    steps = {
        phase: {size: both_slots(step_seconds, recipe, phase, size) for size in STACKS}
        for phase in ("train", "prune")
    }
    report(f"seconds a step by stack, {NUM_SLOTS} processes at once: {steps}")
    setup = {size: both_slots(setup_seconds, recipe, size) for size in STACKS}
    report(f"seconds of a stack besides its steps: {setup}")
    driver = driver_costs()
    report(f"driver: {driver}")
    return {
        "train_step": fit_line(steps["train"]),
        "prune_step": fit_line(steps["prune"]),
        "setup": fit_line(setup),
        **driver,
    }


def measure_machine(report: Callable[[str], None]) -> dict[str, Any]:
    """Every cost that this machine can measure; minutes.

    Args:
        report: see `measure_digits`.
    """
    return {
        **measure_digits(report),
        "driver_beat_per_cell": beat_seconds_per_cell(),
        "requests": s3_requests(),
        "state_bytes": state_bytes(preset("paper").recipe),
    }
