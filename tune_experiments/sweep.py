"""Running a sweep: one Tuner over the cells that are missing, in the experiment's folder.

The driver keeps no state that matters. Every call reads storage, plans, and starts a fresh Tuner in the same
folder; Tune's own snapshots are never restored (a snapshot torn by kill -9 makes Tune rerun everything).
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc_core.cells import Grid
from rc_core.dataset_info import dataset_info
from rc_core.examples import load_recipe_splits
from rc_core.experiment import SweepSpec, read_driver, read_records
from rc_core.provenance import code_version, host_name, package_versions, utc_now
from rc_core.recipes import Preset
from rc_core.storage import LocalStorage, Storage
from tune_experiments.plan import PlanError, make_plan, require_same_recipe
from tune_experiments.progress import SweepProgress, open_display
from tune_experiments.queue import CellQueue

# Read by Ray when it is imported, hence before the import below.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # they import torch into the driver
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "60")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.experiment import Trial

from tune_experiments.callback import SweepCallback
from tune_experiments.heartbeat import Heartbeat
from tune_experiments.searcher import CellSearch
from tune_experiments.trainables import run_trial

MAX_TRIAL_FAILURES = 2


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep is run; nothing in here changes a cell's identity.

    Attributes:
        data_dir: folder of the TFRecords; None = where `load_split` looks.
        address: of a Ray cluster (`auto`, `host:6379`); None starts Ray on this machine.
        cpus_per_trial: CPUs, and torch threads, of each trial.
        gpus_per_trial: GPUs of each trial, fractions allowed; None = 1 where the cluster has any, else 0.
        command: the command line, for provenance.
    """

    data_dir: Path | None = None
    address: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        num_done: cells finished in this run.
        errors: cell id -> error, for failed cells and children of failed parents.
        num_left: cells that were not run (interrupted).
        sweep_seconds: wall time from the first trial's request to the end.
        in_trial_seconds: sum of the cells' own wall times.
        num_slots: cells that could run at a time.
    """

    num_done: int
    errors: dict[str, str]
    num_left: int
    sweep_seconds: float
    in_trial_seconds: float
    num_slots: int

    @property
    def overhead_seconds_per_cell(self) -> float:
        """(sweep wall time x slots - sum of in-trial time) / cells."""
        idle = self.sweep_seconds * self.num_slots - self.in_trial_seconds
        return idle / max(1, self.num_done)


def run_sweep(
    preset: Preset, grid: Grid, experiment: Storage, settings: SweepSettings
) -> SweepOutcome | None:
    """Run the cells of the grid that are not finished; None where there is nothing to do.

    Args:
        preset: recipe and cost estimate.
        grid: what is asked for; an earlier grid under the same name stays part of the sweep.
        experiment: the experiment's folder.
        settings: see there.

    Raises:
        PlanError: another recipe, other data or a living driver under the same name.
    """
    plan = make_plan(preset, grid, experiment)
    driver = read_driver(experiment)
    if driver is not None:
        raise PlanError(
            f"{experiment.location}: process {driver['pid']} on {driver['host']} runs this sweep "
            "already; watch it with 'rcsweep status', or stop it first"
        )
    train, test = load_recipe_splits(preset.recipe, data_dir=settings.data_dir)
    _record_sweep(preset, grid, experiment, settings, train.sha256)
    if not plan.to_run:
        return None
    queue = CellQueue(plan.to_run, finished=plan.finished)
    _start_ray(settings, experiment)
    try:
        gpus_per_trial = settings.gpus_per_trial
        if gpus_per_trial is None:
            gpus_per_trial = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        num_slots = _count_slots(settings.cpus_per_trial, gpus_per_trial)
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


def _start_ray(settings: SweepSettings, experiment: Storage) -> None:
    """Start or join Ray; its log lines go to `ray.log` in the experiment's folder where that is local."""
    if isinstance(experiment, LocalStorage):
        handler: logging.Handler = logging.FileHandler(experiment.path / "ray.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler = logging.NullHandler()
    for name in ("ray", "ray.tune", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    local = {"num_cpus": os.cpu_count(), "include_dashboard": False} if settings.address is None else {}
    ray.init(address=settings.address or "local", log_to_driver=False, configure_logging=False, **local)


def _count_slots(cpus_per_trial: int, gpus_per_trial: float) -> int:
    """How many trials the cluster holds at a time, as it is now.

    Raises:
        PlanError: not even one.
    """
    resources = ray.cluster_resources()
    slots = int(resources.get("CPU", 0) // cpus_per_trial)
    if gpus_per_trial:
        per_gpu = int(1 / gpus_per_trial) if gpus_per_trial < 1 else 1 / gpus_per_trial
        slots = min(slots, int(resources.get("GPU", 0) * per_gpu))
    if slots < 1:
        raise PlanError(
            f"--cpus-per-trial {cpus_per_trial} --gpus-per-trial {gpus_per_trial:g}: no trial fits; Ray has "
            f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        )
    return slots


def _trial_name(trial: Trial) -> str:
    return str(trial.config["cell_id"])
