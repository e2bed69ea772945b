"""How a sweep is run, and how it ended: plain data, without Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
