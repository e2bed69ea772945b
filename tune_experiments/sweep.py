"""Running a sweep: one Tuner over the cells that are missing, in the experiment's folder.

The driver keeps no state that matters. Every call reads storage, plans, and starts a fresh Tuner in the same
folder; Tune's own snapshots are never restored (a snapshot torn by kill -9 makes Tune rerun everything).
"""

from __future__ import annotations

import os
import time
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from rc_core.cells import Grid
from rc_core.dataset_info import dataset_info
from rc_core.examples import load_recipe_splits
from rc_core.experiment import SweepSpec, read_driver, read_records
from rc_core.provenance import code_version, host_name, package_versions, utc_now
from rc_core.recipes import Preset
from rc_core.storage import Storage
from tune_experiments import ray_session
from tune_experiments.callback import SweepCallback
from tune_experiments.heartbeat import Heartbeat
from tune_experiments.plan import Plan, PlanError, require_same_recipe
from tune_experiments.progress import SweepProgress, open_display
from tune_experiments.queue import CellQueue
from tune_experiments.searcher import CellSearch
from tune_experiments.settings import SweepOutcome, SweepSettings
from tune_experiments.trainables import run_trial

MAX_TRIAL_FAILURES = 2


def run_sweep(
    preset: Preset, grid: Grid, plan: Plan, experiment: Storage, settings: SweepSettings
) -> SweepOutcome:
    """Run the cells of a plan.

    Args:
        preset: recipe and cost estimate.
        grid: what is asked for; an earlier grid under the same name stays part of the sweep.
        plan: of that grid, with cells to run.
        experiment: the experiment's folder.
        settings: see there.

    Raises:
        PlanError: another recipe, other data or a living driver under the same name.
    """
    driver = read_driver(experiment)
    if driver is not None:
        raise PlanError(
            f"{experiment.location}: process {driver['pid']} on {driver['host']} runs this sweep "
            "already; watch it with 'rcsweep status', or stop it first"
        )
    train, test = load_recipe_splits(preset.recipe, data_dir=settings.data_dir)
    _record_sweep(preset, grid, experiment, settings, train.sha256)
    queue = CellQueue(plan.to_run, finished=plan.finished)
    ray_session.start(settings.address, experiment)
    try:
        gpus_per_trial = settings.gpus_per_trial
        if gpus_per_trial is None:
            gpus_per_trial = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        num_slots = ray_session.count_slots(settings.cpus_per_trial, gpus_per_trial)
        progress = SweepProgress(queue, num_slots, plan.cell_seconds)
        display = open_display(progress)
        heartbeat = Heartbeat(experiment, queue, num_slots, display)
        trainable = tune.with_parameters(
            run_trial,
            recipe=preset.recipe,
            train=train,
            test=test,
            num_classes=dataset_info(preset.recipe.dataset, settings.data_dir).num_classes,
            experiment=experiment.location,
            device="cuda" if gpus_per_trial else "cpu",
            threads=settings.cpus_per_trial,
            code_version=code_version(),
        )
        resources = {"CPU": settings.cpus_per_trial} | ({"GPU": gpus_per_trial} if gpus_per_trial else {})
        parent, name = os.path.split(experiment.location)
        tuner = tune.Tuner(
            tune.with_resources(trainable, tune.PlacementGroupFactory([resources])),
            tune_config=tune.TuneConfig(
                search_alg=CellSearch(queue, max_concurrent=num_slots),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=parent,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_TRIAL_FAILURES),
                callbacks=[SweepCallback(queue, progress, display, experiment)],
            ),
        )
        start_seconds = time.monotonic()
        heartbeat.start()
        try:
            tuner.fit()
        finally:
            sweep_seconds = time.monotonic() - start_seconds
            heartbeat.stop()
    finally:
        ray.shutdown()
    records = read_records(experiment, [cell.cell_id for cell in plan.to_run])
    outcome = SweepOutcome(
        num_done=len(records),
        errors=dict(queue.errors),
        num_left=len(plan.to_run) - len(records) - len(queue.errors),
        sweep_seconds=sweep_seconds,
        in_trial_seconds=sum(record["row"]["wall_seconds"] for record in records.values()),
        num_slots=num_slots,
    )
    _record_run(experiment, outcome)
    return outcome


def _record_sweep(
    preset: Preset, grid: Grid, experiment: Storage, settings: SweepSettings, data_sha256: str
) -> None:
    """Write or extend `sweep.json`."""
    spec = SweepSpec.read(experiment)
    if spec is None:
        provenance: dict[str, Any] = {"created": utc_now(), "data_sha256": data_sha256}
        spec = SweepSpec(preset.recipe, [], provenance)
    require_same_recipe(preset.recipe, spec.recipe, experiment)
    if spec.provenance["data_sha256"] != data_sha256:
        raise PlanError(
            f"{experiment.location}: this sweep was begun on a training file with SHA-256 "
            f"{spec.provenance['data_sha256']}, but --data now gives {data_sha256}; choose another --name"
        )
    if grid not in spec.grids:
        spec.grids.append(grid)
    spec.provenance |= {
        "command": settings.command,
        "code_version": code_version(),
        "versions": package_versions(),
        "host": host_name(),
    }
    spec.write(experiment)


def _record_run(experiment: Storage, outcome: SweepOutcome) -> None:
    spec = SweepSpec.read(experiment)
    assert spec is not None, "written when the sweep began"
    spec.provenance["sweep_seconds"] = spec.provenance.get("sweep_seconds", 0.0) + outcome.sweep_seconds
    spec.provenance.setdefault("runs", []).append(
        {
            "ended": utc_now(),
            "num_done": outcome.num_done,
            "num_slots": outcome.num_slots,
            "sweep_seconds": outcome.sweep_seconds,
            "in_trial_seconds": outcome.in_trial_seconds,
        }
    )
    spec.write(experiment)


def _trial_name(trial: Trial) -> str:
    return str(trial.config["cell_id"])
