"""Running a sweep, from the lock to its record: everything but the trials (tuning.py).

The driver keeps no state that matters. Every call reads storage, plans, and starts a fresh Tuner in the same
folder; Tune's own snapshots are never restored (a snapshot torn by kill -9 makes Tune rerun everything).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rc_core.cells import Grid
from rc_core.datasets import load_recipe_splits
from rc_core.experiment import SweepSpec
from rc_core.provenance import code_version, host_name, package_versions, utc_now
from rc_core.recipes import Recipe
from rc_core.storage import Storage
from tune_experiments import ray_session
from tune_experiments.driver_lock import DriverLock
from tune_experiments.interrupts import Interrupts
from tune_experiments.plan import Plan, PlanError, require_same_recipe
from tune_experiments.queue import CellQueue
from tune_experiments.settings import SweepOutcome, SweepSettings
from tune_experiments.stop_request import clear_stop_request


def run_sweep(
    recipe: Recipe,
    grid: Grid | None,
    plan: Plan,
    experiment: Storage,
    settings: SweepSettings,
    trial: Callable[..., None] | None = None,
) -> SweepOutcome:
    """Run the cells of a plan.

    Args:
        recipe: settings of the cells.
        grid: what is asked for; it becomes part of the sweep, beside earlier grids. None adds nothing.
        plan: the cells to run; not empty.
        experiment: the experiment's folder.
        settings: see there.
        trial: runs the cells of a trial, as `trainables.run_trial`, the default; another one measures the
            machinery without the work.

    Raises:
        PlanError: another recipe, other data or a living driver under the same name; or a node of the cluster
            has other versions or code, or does not see the experiment's folder.
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
            # Tune and torch are loaded only now, while Ray's workers load them too (ray_environment.py).
            from tune_experiments.tuning import tune_cells

            outcome = tune_cells(
                recipe, (train, test), plan, queue, experiment, settings, interrupts.requested, trial
            )
        try:
            _record_run(experiment, outcome, started)
        except OSError as error:  # e.g. the disk is full: what became of the cells is to be told all the same
            print(f"this run could not be recorded: {error}", file=sys.stderr)
        if outcome.node_problems:
            raise PlanError("\n".join(outcome.node_problems))
        return outcome
    finally:
        lock.release()


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
