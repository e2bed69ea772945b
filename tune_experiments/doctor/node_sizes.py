"""Node types of an AWS file against the sizes of their instance types, and which of them are spot."""

from __future__ import annotations

from tune_experiments.doctor.cluster_file import ClusterFile, is_spot
from tune_experiments.doctor.finding import Finding, not_checked, ok, problem, warning
from tune_experiments.doctor.instance_types import INSTANCE_TYPES


def check_instance_types(file: ClusterFile) -> list[Finding]:
    """Resources that are claimed against those of the instance type; the head on demand, workers on spot."""
    if file.provider_type != "aws":
        return []
    findings = []
    for name, node in file.node_types.items():
        subject = f"available_node_types.{name}"
        instance_type = str((node.get("node_config") or {}).get("InstanceType"))
        known = INSTANCE_TYPES.get(instance_type)
        if known is None:
            findings.append(not_checked(subject, f"the size of {instance_type} is not known here"))
        else:
            for resource, size in (("CPU", known.num_cpus), ("GPU", known.num_gpus)):
                claimed = (node.get("resources") or {}).get(resource, size)
                if claimed > size or (resource == "GPU" and claimed < size and name != file.head_type):
                    findings.append(
                        problem(
                            f"{subject}.resources.{resource}",
                            f"{claimed}, but {instance_type} has {size}",
                            f"{resource}: {size}",
                        )
                    )
        if name == file.head_type and is_spot(node):
            findings.append(
                problem(
                    subject,
                    "the head is a spot instance; the sweep ends with it",
                    "leave out MarketType: spot",
                )
            )
    if file.worker_types and not any(is_spot(node) for node in file.worker_types.values()):
        findings.append(
            warning(
                "workers", "none is a spot instance", "InstanceMarketOptions: {MarketType: spot} is cheaper"
            )
        )
    return findings or [ok("instance types", "resources as EC2 tells them; the head is on demand")]
