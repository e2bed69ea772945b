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
        slots: trials that the cluster may have room for once it has grown; None = those that it has now.
        stack: cells that are trained together in one process; None leaves it to recipe and device.
        precision: of convolutions and activations, `float32` or `bfloat16`.
        compile: whether torch.compile fuses the networks.
        max_retries: how often a cell is tried again, from its newest checkpoint, after its process died or
            failed in a way that may pass.
        checkpoint_seconds: time between the checkpoints of a cell.
        keep_checkpoints: newest checkpoints kept while a cell runs; a finished one keeps none of them.
        reuse_actors: whether a trial takes over the process of one that ended. A process of its own costs
            each trial some seconds, mostly for importing torch, but gives all GPU memory back (ray#30414).
        command: the command line, for provenance.
    """

    data_dir: Path | None = None
    address: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None
    slots: int | None = None
    stack: int | None = None
    precision: str = "float32"
    compile: bool = False
    max_retries: int = 2
    checkpoint_seconds: float = 60.0
    keep_checkpoints: int = 2
    reuse_actors: bool = True
    command: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed, fits in (
            ("cpus_per_trial", self.cpus_per_trial, "at least 1", self.cpus_per_trial >= 1),
            ("slots", self.slots, "at least 1", self.slots is None or self.slots >= 1),
            ("stack", self.stack, "at least 1", self.stack is None or self.stack >= 1),
            ("max_retries", self.max_retries, "at least 0", self.max_retries >= 0),
            ("checkpoint_seconds", self.checkpoint_seconds, "at least 0", self.checkpoint_seconds >= 0),
            ("keep_checkpoints", self.keep_checkpoints, "at least 1", self.keep_checkpoints >= 1),
        ):
            if not fits:
                raise ValueError(f"{name} = {value!r}: must be {allowed}")
        if self.slots is not None and self.address is None:
            raise ValueError(
                f"slots = {self.slots!r}: only with an address; on this machine its CPUs and GPUs decide, "
                "see --cpus-per-trial and --gpus-per-trial"
            )
        gpus = self.gpus_per_trial
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise ValueError(f"gpus_per_trial = {gpus!r}: must be in [0, 1] or a whole number")


@dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        num_done: cells finished in this run.
        errors: cell id -> error, for failed cells and children of failed parents.
        num_left: cells that were not run, or not to their end.
        interrupted: whether a signal ended the sweep.
        sweep_seconds: wall time from the first trial's request to the end.
        in_trial_seconds: sum of the cells' own wall times; of a stack, each has its share.
        num_slots: trials that could run at a time.
        node_problems: why nodes of the cluster could not be used; the sweep was ended for them.
    """

    num_done: int
    errors: dict[str, str]
    num_left: int
    interrupted: bool
    sweep_seconds: float
    in_trial_seconds: float
    num_slots: int
    node_problems: tuple[str, ...] = ()

    @property
    def overhead_seconds_per_cell(self) -> float:
        """(sweep wall time x slots - sum of in-trial time) / cells."""
        idle = self.sweep_seconds * self.num_slots - self.in_trial_seconds
        return idle / max(1, self.num_done)
