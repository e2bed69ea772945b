"""What a cluster costs an hour, and what a planned sweep will cost on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_experiments.doctor.cluster_file import ClusterFile
from tune_experiments.doctor.instance_types import DISK_DOLLARS_PER_GB_HOUR, INSTANCE_TYPES
from tune_experiments.plan import Plan


@dataclass(frozen=True, kw_only=True)
class NodePrice:
    """One node type, as far as money goes.

    Attributes:
        name: of the node type.
        dollars_per_hour: instance and disks.
        num_devices: GPUs of a node; CPUs where it has no GPU.
        has_gpus: which of the two.
        min_nodes: nodes of the type that always run.
        max_nodes: nodes of the type at most.
    """

    name: str
    dollars_per_hour: float
    num_devices: int
    has_gpus: bool
    min_nodes: int
    max_nodes: int


@dataclass(frozen=True, kw_only=True)
class ClusterPrice:
    """Head, worker types in the file's order, and the bound on all workers together."""

    head: NodePrice
    workers: tuple[NodePrice, ...]
    max_workers: int

    @property
    def min_dollars_per_hour(self) -> float:
        """The head and the workers that never leave."""
        return self.head.dollars_per_hour + sum(
            node.min_nodes * node.dollars_per_hour for node in self.workers
        )

    @property
    def max_dollars_per_hour(self) -> float:
        """The head and as many workers as are allowed, the dearest first."""
        dearest = sorted(self.workers, key=lambda node: -node.dollars_per_hour)
        return self.head.dollars_per_hour + sum(
            count * node.dollars_per_hour for node, count in zip(dearest, self._counts(dearest), strict=True)
        )

    @property
    def num_devices(self) -> int:
        """Devices of as many workers as are allowed, in the file's order; GPUs alone where there are any."""
        return sum(
            count * node.num_devices
            for node, count in zip(self.workers, self._counts(self.workers), strict=True)
            if node.has_gpus == any(worker.has_gpus for worker in self.workers)
        )

    @property
    def dollars_per_device_hour(self) -> float:
        """Of the first worker type, which is the one that is meant to do the work."""
        return self.workers[0].dollars_per_hour / self.workers[0].num_devices

    def _counts(self, nodes: tuple[NodePrice, ...] | list[NodePrice]) -> list[int]:
        left, counts = self.max_workers, []
        for node in nodes:
            counts.append(min(node.max_nodes, left))
            left -= counts[-1]
        return counts


@dataclass(frozen=True, kw_only=True)
class SweepPrice:
    """What a sweep takes, from everything used all the time to everything kept until the end.

    Attributes:
        wall_hours: at best; the longest chain (a training, then a pruning) is a lower bound.
        min_dollars: devices are paid for as long as they work, the head for the whole.
        max_dollars: every worker is paid for the whole, and until it is idle for too long.
    """

    wall_hours: float
    min_dollars: float
    max_dollars: float


def price_cluster(file: ClusterFile, prices: Mapping[str, float]) -> ClusterPrice | list[str]:
    """The prices of an AWS file; or the instance types whose price is not known.

    Args:
        file: the cluster file.
        prices: dollars an hour by node type or instance type; before the table's.
    """
    nodes, unknown = {}, []
    for name, node in file.node_types.items():
        config = node.get("node_config") or {}
        instance_type = str(config.get("InstanceType"))
        known = INSTANCE_TYPES.get(instance_type)
        dollars = prices.get(name, prices.get(instance_type, known.dollars_per_hour if known else None))
        if dollars is None:
            unknown.append(instance_type)
            continue
        resources = node.get("resources") or {}
        num_gpus = resources.get("GPU", known.num_gpus if known else 0)
        num_cpus = resources.get("CPU", known.num_cpus if known else 1)
        nodes[name] = NodePrice(
            name=name,
            dollars_per_hour=dollars + _disk_gb(config) * DISK_DOLLARS_PER_GB_HOUR,
            num_devices=num_gpus or max(1, num_cpus),
            has_gpus=num_gpus > 0,
            min_nodes=node.get("min_workers", 0),
            max_nodes=node.get("max_workers", file.written.get("max_workers", 0)),
        )
    if unknown:
        return sorted(set(unknown))
    head = nodes.pop(str(file.head_type))
    return ClusterPrice(
        head=head, workers=tuple(nodes.values()), max_workers=file.written.get("max_workers", 0)
    )


def price_sweep(price: ClusterPrice, plan: Plan, device_speed: float, idle_hours: float) -> SweepPrice:
    """What a plan takes on a cluster.

    Args:
        price: the cluster, with at least one worker.
        plan: what is to be run.
        device_speed: how many times faster one of its devices is than the plan's.
        idle_hours: for which a worker without work is still paid.
    """
    device_hours = plan.device_seconds / 3600 / device_speed
    chain_hours = sum(plan.cell_seconds[phase] for phase in {cell.phase for cell in plan.to_run}) / 3600
    wall_hours = max(device_hours / price.num_devices, chain_hours / device_speed)
    return SweepPrice(
        wall_hours=wall_hours,
        min_dollars=price.head.dollars_per_hour * wall_hours + price.dollars_per_device_hour * device_hours,
        max_dollars=price.max_dollars_per_hour * (wall_hours + idle_hours),
    )


def _disk_gb(config: Mapping[str, Any]) -> int:
    mappings = config.get("BlockDeviceMappings") or ()
    return sum((mapping.get("Ebs") or {}).get("VolumeSize", 0) for mapping in mappings)
