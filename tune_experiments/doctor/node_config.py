"""`node_config` of AWS node types, against the request that it becomes: EC2's RunInstances.

Ray passes it on as it is; a misspelt key would show only when the first instance is started.
"""

from __future__ import annotations

from typing import Any

from tune_experiments.doctor.cluster_file import ClusterFile
from tune_experiments.doctor.finding import Finding, not_checked, ok, optional_module, problem, warning

# Ray chooses one of these for each request, which has a SubnetId.
RAY_KEYS = {"SubnetIds"}


def check_node_configs(file: ClusterFile) -> list[Finding]:
    """Keys, types and enumerated values of every `node_config`, by botocore's model of the request."""
    if file.provider_type != "aws":
        return []
    session = optional_module("botocore.session")
    validate = optional_module("botocore.validate")
    if session is None or validate is None:
        return [not_checked("node_config", "botocore is not installed", "pip install boto3")]
    shape = session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    findings = []
    for name, node in file.node_types.items():
        subject = f"available_node_types.{name}.node_config"
        config = {key: value for key, value in (node.get("node_config") or {}).items() if key not in RAY_KEYS}
        report = validate.ParamValidator().validate({"MinCount": 1, "MaxCount": 1} | config, shape)
        messages = report.generate_report().splitlines() if report.has_errors() else []
        messages += _unknown_values(config, shape, "")
        findings += [
            problem(subject, message, "see EC2's API reference, RunInstances") for message in messages
        ]
        findings += _check_disks(subject, config)
    return findings or [ok("node_config", "every key, type and value is one of RunInstances")]


def _unknown_values(value: Any, shape: Any, where: str) -> list[str]:
    """What is no member of its enumeration; botocore leaves that to the service."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            line
            for key, child in value.items()
            if key in shape.members
            for line in _unknown_values(child, shape.members[key], f"{where}.{key}" if where else key)
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [line for child in value for line in _unknown_values(child, shape.member, where)]
    allowed = getattr(shape, "enum", None)
    if not allowed or value in allowed:
        return []
    some = ", ".join(allowed) if len(allowed) < 20 else f"the {len(allowed)} that botocore knows"
    return [f"{where} = {value!r}: none of {some}"]


def _check_disks(subject: str, config: dict[str, Any]) -> list[Finding]:
    disks = [mapping["Ebs"] for mapping in config.get("BlockDeviceMappings") or () if "Ebs" in mapping]
    # torch with its CUDA libraries takes 8 GB, the system as much.
    if sum(disk.get("VolumeSize", 0) for disk in disks) < 40:
        return [
            warning(
                f"{subject}.BlockDeviceMappings", "less than 40 GB of disk are asked for", "VolumeSize: 100"
            )
        ]
    return []
