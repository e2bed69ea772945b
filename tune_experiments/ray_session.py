"""Starting or joining Ray, and what it has room for."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from rc_core.storage import LocalStorage, Storage
from tune_experiments.plan import PlanError


@contextlib.contextmanager
def session(address: str | None, experiment: Storage) -> Iterator[None]:
    """Ray, started on this machine or joined at an address, for the length of the context.

    Ray's log lines go to `ray.log` in the experiment's folder where that is local. Call
    `ray_environment.prepare` before Ray is imported.
    """
    _send_logs_to(experiment)
    local = {"num_cpus": os.cpu_count(), "include_dashboard": False} if address is None else {}
    ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **local)
    try:
        yield
    finally:
        ray.shutdown()


class _LogFile(logging.FileHandler):
    """A log that does without its lines where they cannot be written, as on a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Say nothing: what ails the sweep is told by its cells."""


def _send_logs_to(experiment: Storage) -> None:
    handler: logging.Handler = logging.NullHandler()
    if isinstance(experiment, LocalStorage):
        handler = _LogFile(experiment.path / "ray.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("ray", "ray.tune", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False


def gpus_per_trial(wanted: float | None) -> float:
    """GPUs of each trial: as wanted, else 1 where the cluster has any."""
    if wanted is not None:
        return wanted
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def count_slots(cpus_per_trial: int, gpus_per_trial: float) -> int:
    """How many trials Ray has room for at a time as it is now; an autoscaling cluster may begin with 0."""
    resources = ray.cluster_resources()
    slots = int(resources.get("CPU", 0) // cpus_per_trial)
    if gpus_per_trial:
        per_gpu = int(1 / gpus_per_trial) if gpus_per_trial < 1 else 1 / gpus_per_trial
        slots = min(slots, int(resources.get("GPU", 0) * per_gpu))
    return slots


def require_room(num_slots: int, cpus_per_trial: int, gpus_per_trial: float) -> None:
    """Refuse a sweep of which no trial fits on this machine.

    Raises:
        PlanError: `num_slots` is 0.
    """
    if num_slots < 1:
        resources = ray.cluster_resources()
        raise PlanError(
            f"--cpus-per-trial {cpus_per_trial} --gpus-per-trial {gpus_per_trial:g}: no trial fits; Ray has "
            f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        )
