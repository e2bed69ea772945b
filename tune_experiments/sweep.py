"""Running a sweep: one Tuner over the cells that are missing, in the experiment's folder.

The driver keeps no state that matters. Every call reads storage, plans, and starts a fresh Tuner in the same
folder; Tune's own snapshots are never restored (a snapshot torn by kill -9 makes Tune rerun everything).
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from rc_core.cells import Grid
from rc_core.dataset_info import dataset_info
from rc_core.device_step import Numerics
from rc_core.examples import load_recipe_splits
from rc_core.experiment import SweepSpec
from rc_core.provenance import code_version, host_name, package_versions, utc_now
from rc_core.recipes import Recipe
from rc_core.stacking import stack_size
from rc_core.storage import Storage
from tune_experiments import ray_session
from tune_experiments.callback import SweepCallback
from tune_experiments.driver_lock import DriverLock
from tune_experiments.heartbeat import Heartbeat
from tune_experiments.interrupts import Interrupts
from tune_experiments.plan import Plan, PlanError, require_same_recipe
from tune_experiments.progress import SweepProgress, open_display
from tune_experiments.queue import DONE, CellQueue
from tune_experiments.searcher import CellSearch
from tune_experiments.settings import SweepOutcome, SweepSettings
from tune_experiments.stop_request import clear_stop_request
from tune_experiments.trainables import TrialContext, run_trial, trial_name

MAX_PENDING_TRIALS = 200


def run_sweep(
    recipe: Recipe,
    grid: Grid | None,
    plan: Plan,
    experiment: Storage,
    settings: SweepSettings,
    trial: Callable[..., None] = run_trial,
) -> SweepOutcome:
    """Run the cells of a plan.

    Args:
        recipe: settings of the cells.
        grid: what is asked for; it becomes part of the sweep, beside earlier grids. None adds nothing.
        plan: the cells to run; not empty.
        experiment: the experiment's folder.
        settings: see there.
        trial: runs one cell; another one measures the machinery without the work.

    Raises:
        PlanError: another recipe, other data or a living driver under the same name.
        KeyboardInterrupt: on the second Ctrl-C.
    """
    lock = DriverLock(experiment)
    lock.acquire()
    try:
        train, test = load_recipe_splits(recipe, data_dir=settings.data_dir)
        _record_sweep(recipe, grid, experiment, settings, train.sha256)
        clear_stop_request(experiment)
        queue = CellQueue(plan.to_run, finished=plan.finished)
        started = utc_now()
        with Interrupts() as interrupts, ray_session.session(settings.address, experiment):
            interrupts.install()
            gpus_per_trial = ray_session.gpus_per_trial(settings.gpus_per_trial)
            num_slots = ray_session.count_slots(settings.cpus_per_trial, gpus_per_trial)
            if settings.address is None:
                ray_session.require_room(num_slots, settings.cpus_per_trial, gpus_per_trial)
            device = "cuda" if gpus_per_trial else "cpu"
            stack = settings.stack or stack_size(recipe, train.images.shape[1], device)
            ray_session.require_device_memory(
                recipe,
                train,
                test,
                gpus_per_trial=gpus_per_trial,
                stack=stack,
                precision=settings.precision,
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
            )
            trainable = tune.with_parameters(trial, context=context, train=train, test=test)
            progress = SweepProgress(queue, max(1, num_slots), plan.cell_seconds)
            display = open_display(progress)
            callback = SweepCallback(queue, progress, display, experiment)
            heartbeat = Heartbeat(
                experiment, context.driver_token, queue, progress, display, interrupts.requested
            )
            start_seconds = time.monotonic()
            heartbeat.start()
            try:
                # On a cluster, trials that wait for a slot are what makes the autoscaler add workers.
                concurrent = num_slots if settings.address is None else max(num_slots, MAX_PENDING_TRIALS)
                search = CellSearch(queue, concurrent, stack=stack, num_slots=max(1, num_slots))
                _fit(trainable, search, callback, gpus_per_trial, settings)
            finally:
                sweep_seconds = time.monotonic() - start_seconds
                heartbeat.stop()
        outcome = SweepOutcome(
            num_done=queue.count(DONE),
            errors=dict(queue.errors),
            num_left=len(queue.cells) - queue.count(DONE) - len(queue.errors),
            interrupted=interrupts.requested.is_set(),
            sweep_seconds=sweep_seconds,
            in_trial_seconds=progress.in_trial_seconds,
            num_slots=num_slots,
        )
        try:
            _record_run(experiment, outcome, started)
        except OSError as error:  # e.g. the disk is full: what became of the cells is to be told all the same
            print(f"this run could not be recorded: {error}", file=sys.stderr)
        return outcome
    finally:
        lock.release()


def _fit(
    trainable: Any,
    search: CellSearch,
    callback: SweepCallback,
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
                callbacks=[callback],
            ),
        ).fit()


def _trial_name(trial: Trial) -> str:
    return trial_name(trial.config)


def _record_sweep(
    recipe: Recipe, grid: Grid | None, experiment: Storage, settings: SweepSettings, data_sha256: str
) -> None:
    """Write or extend `sweep.json`."""
    spec = SweepSpec.read(experiment)
    if spec is None:
        spec = SweepSpec(recipe, [], {"created": utc_now(), "data_sha256": data_sha256})
    require_same_recipe(recipe, spec.recipe, experiment)
    if spec.provenance["data_sha256"] != data_sha256:
        raise PlanError(
            f"{experiment.location}: this sweep was begun on a training file with SHA-256 "
            f"{spec.provenance['data_sha256']}, but --data now gives {data_sha256}; choose another --name"
        )
    if grid is not None and grid not in spec.grids:
        spec.grids.append(grid)
    spec.provenance |= {
        "command": settings.command,
        "code_version": code_version(),
        "versions": package_versions(),
        "host": host_name(),
    }
    spec.write(experiment)


def _record_run(experiment: Storage, outcome: SweepOutcome, started: str) -> None:
    """Add this run to `sweep.json`."""
    spec = SweepSpec.read(experiment)
    assert spec is not None, "written when the sweep began"
    spec.provenance["sweep_seconds"] = spec.provenance.get("sweep_seconds", 0.0) + outcome.sweep_seconds
    spec.provenance.setdefault("runs", []).append(
        {
            "started": started,
            "ended": utc_now(),
            "num_done": outcome.num_done,
            "num_slots": outcome.num_slots,
            "sweep_seconds": outcome.sweep_seconds,
            "in_trial_seconds": outcome.in_trial_seconds,
        }
    )
    spec.write(experiment)
