"""What a simulated sweep runs on, and what came of it: plain data."""

from __future__ import annotations

from dataclasses import dataclass

# Where the time of a slot goes, from its node's joining to its end.
STEPS, REDONE, CHECKPOINTS, SETUP, STORAGE, DRIVER, START, NO_CELL = KINDS = (
    "steps",
    "steps that a lost node did and that are done again",
    "writing checkpoints",
    "set-up and evaluation of cells",
    "object store",
    "waiting for the driver",
    "data and start of processes",
    "no cell is ready",
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes and settings of a sweep.

    Attributes:
        num_gpus: slots at most.
        gpus_per_node: slots of a node; it is lost as a whole.
        is_empty: whether the cluster begins without workers, and the autoscaler adds them.
        losses_per_gpu_hour: rate at which a node is lost; each of its GPUs is lost at that rate.
        stack: most cells of a trial.
        max_pending: trials that wait or run at most, unless there are more slots when the sweep begins;
            None = no bound. `MAX_PENDING_TRIALS` of the product.
        is_local: whether trials are made only when a slot is free, as without `--address`.
        seed: of the losses.
    """

    num_gpus: int
    gpus_per_node: int = 8
    is_empty: bool = False
    losses_per_gpu_hour: float = 0.0
    stack: int = 1
    max_pending: int | None = 200
    is_local: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed, fits in (
            ("num_gpus", self.num_gpus, "at least 1", self.num_gpus >= 1),
            ("gpus_per_node", self.gpus_per_node, "at least 1", self.gpus_per_node >= 1),
            ("stack", self.stack, "at least 1", self.stack >= 1),
            ("losses_per_gpu_hour", self.losses_per_gpu_hour, "at least 0", self.losses_per_gpu_hour >= 0),
        ):
            if not fits:
                raise ValueError(f"{name} = {value!r}: must be {allowed}")

    @property
    def node_sizes(self) -> list[int]:
        """Slots of each node; the last may be smaller."""
        whole, rest = divmod(self.num_gpus, self.gpus_per_node)
        return [self.gpus_per_node] * whole + ([rest] if rest else [])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a simulated sweep.

    Attributes:
        num_cells: by their last state.
        num_trials: handed to slots, repetitions included.
        num_losses: nodes that were lost.
        makespan_seconds: from the start to the last cell's end.
        slot_seconds: by kind, see `KINDS`; of all slots together.
        gpu_seconds: of all nodes, from their joining to the sweep's end or their own.
        most_slots: slots that had joined at a time.
        driver_load: part of the makespan in which the driver worked.
        broadcast_seconds: until the last of the first nodes had the data.
        requests: to the object store, by kind.
        peak_requests_per_second: by kind, in the busiest ten seconds.
        bytes: by kind.
    """

    num_cells: dict[str, int]
    num_trials: int
    num_losses: int
    makespan_seconds: float
    slot_seconds: dict[str, float]
    gpu_seconds: float
    most_slots: int
    driver_load: float
    broadcast_seconds: float
    requests: dict[str, float]
    peak_requests_per_second: dict[str, float]
    bytes: dict[str, float]

    @property
    def utilisation(self) -> float:
        """Part of the GPUs' time that was spent in steps that count."""
        return self.slot_seconds[STEPS] / self.gpu_seconds
