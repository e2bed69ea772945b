"""The trials of a sweep: one Tuner over the cells of a queue. The one module that drives Ray Tune."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from rc_core.dataset_info import dataset_info
from rc_core.datasets import Split
from rc_core.device_step import Numerics
from rc_core.provenance import code_version
from rc_core.recipes import Recipe
from rc_core.stacking import stack_size
from rc_core.storage import Storage
from tune_experiments import ray_session
from tune_experiments.callback import SweepCallback
from tune_experiments.gpu_packing import require_device_memory
from tune_experiments.heartbeat import Heartbeat
from tune_experiments.node_versions import describe_node
from tune_experiments.node_watch import NodeWatch
from tune_experiments.plan import Plan
from tune_experiments.progress import SweepProgress, open_display
from tune_experiments.queue import DONE, CellQueue
from tune_experiments.searcher import CellSearch
from tune_experiments.settings import SweepOutcome, SweepSettings
from tune_experiments.trainables import TrialContext, run_trial, trial_name

MAX_PENDING_TRIALS = 200

# Tune starts trials with a variable for PyTorch Lightning, and Ray gives a process that wants variables of
# its own none of the idle ones, which have long begun to import torch (ray_environment.py).
class_cache.DEFAULT_ENV_VARS.clear()


def tune_cells(
    recipe: Recipe,
    splits: tuple[Split, Split],
    plan: Plan,
    queue: CellQueue,
    experiment: Storage,
    settings: SweepSettings,
    interrupted: threading.Event,
    trial: Callable[..., None] | None = None,
) -> SweepOutcome:
    """Run the cells of a queue as trials, in a session of Ray.

    Args:
        recipe: settings of the cells.
        splits: training and test data.
        plan: what the queue was made of.
        queue: its cells.
        experiment: the experiment's folder.
        settings: see there.
        interrupted: set from outside to end in order.
        trial: see `sweep.run_sweep`.

    Raises:
        PlanError: no trial fits, or a node of the cluster has other versions or code than the driver.
        KeyboardInterrupt: on the second Ctrl-C.
    """
    train, test = splits
    versions = None if settings.address is None else describe_node()
    watches = [] if versions is None else [NodeWatch(queue, versions)]
    for watch in watches:
        watch.require_equal_nodes()
    gpus_per_trial = ray_session.gpus_per_trial(settings.gpus_per_trial)
    num_slots = settings.slots or ray_session.count_slots(settings.cpus_per_trial, gpus_per_trial)
    if settings.address is None:
        ray_session.require_room(num_slots, settings.cpus_per_trial, gpus_per_trial)
    device = "cuda" if gpus_per_trial else "cpu"
    stack = settings.stack or stack_size(recipe, train.images.shape[1], device)
    require_device_memory(
        recipe, train, test, gpus_per_trial=gpus_per_trial, stack=stack, precision=settings.precision
    )
    context = TrialContext(
        recipe=recipe,
        num_classes=dataset_info(recipe.dataset, settings.data_dir).num_classes,
        experiment=experiment.location,
        driver_token=secrets.token_hex(8),
        device=device,
        gpu_fraction=gpus_per_trial,
        threads=settings.cpus_per_trial,
        stacked=stack > 1,
        numerics=Numerics(precision=settings.precision, compile=settings.compile),
        checkpoint_seconds=settings.checkpoint_seconds,
        keep_checkpoints=settings.keep_checkpoints,
        code_version=code_version(),
        versions=versions,
    )
    trainable = tune.with_parameters(trial or run_trial, context=context, train=train, test=test)
    progress = SweepProgress(queue, max(1, num_slots), plan.cell_seconds)
    display = open_display(progress)
    callback = SweepCallback(queue, progress, display, experiment)
    heartbeat = Heartbeat(experiment, context.driver_token, queue, progress, display, interrupted)
    start_seconds = time.monotonic()
    heartbeat.start()
    try:
        # On a cluster, trials that wait for a slot are what makes the autoscaler add workers.
        concurrent = num_slots if settings.address is None else max(num_slots, MAX_PENDING_TRIALS)
        search = CellSearch(queue, concurrent, stack=stack, num_slots=max(1, num_slots))
        _fit(trainable, search, [*watches, callback], gpus_per_trial, settings)
    finally:
        sweep_seconds = time.monotonic() - start_seconds
        heartbeat.stop()
    return SweepOutcome(
        num_done=queue.count(DONE),
        errors=dict(queue.errors),
        num_left=len(queue.cells) - queue.count(DONE) - len(queue.errors),
        interrupted=interrupted.is_set(),
        sweep_seconds=sweep_seconds,
        in_trial_seconds=progress.in_trial_seconds,
        num_slots=num_slots,
        node_problems=tuple(problem for watch in watches for problem in watch.problems),
    )


def _fit(
    trainable: Any,
    search: CellSearch,
    callbacks: list[tune.Callback],
    gpus_per_trial: float,
    settings: SweepSettings,
) -> None:
    """Hand the queue to Tune and wait for the end."""
    resources = {"CPU": float(settings.cpus_per_trial)}
    if gpus_per_trial:
        resources["GPU"] = gpus_per_trial
    # Cells write what matters through our own storage. Tune's own files hold pickles, it would upload them
    # again and again, and it fails where they cannot be written or read: they go to scratch on the driver.
    with tempfile.TemporaryDirectory(prefix="rcsweep-", ignore_cleanup_errors=True) as scratch:
        tune.Tuner(
            tune.with_resources(trainable, tune.PlacementGroupFactory([resources])),
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=-1,
                reuse_actors=settings.reuse_actors,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=settings.max_retries),
                callbacks=callbacks,
            ),
        ).fit()


def _trial_name(trial: Trial) -> str:
    return trial_name(trial.config)
