"""Starting or joining Ray, and what it has room for."""

from __future__ import annotations

import logging
import os

import ray

from rc_core.storage import LocalStorage, Storage
from tune_experiments.plan import PlanError


def start(address: str | None, experiment: Storage) -> None:
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
    local = {"num_cpus": os.cpu_count(), "include_dashboard": False} if address is None else {}
    ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **local)


def count_slots(cpus_per_trial: int, gpus_per_trial: float) -> int:
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
