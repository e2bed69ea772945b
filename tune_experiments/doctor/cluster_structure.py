"""What Ray's validator passes over: placeholders, unknown provider keys, missing sources, workers."""

from __future__ import annotations

from tune_experiments.doctor.cluster_file import ClusterFile, local_path, strings_in
from tune_experiments.doctor.finding import Finding, not_checked, ok, problem

PLACEHOLDER = "CHANGE-ME"

# What Ray 2.60 reads below `provider`; its schema allows any key, so that a misspelt one would go unnoticed.
_EVERY_PROVIDER = {
    *("type", "use_internal_ips", "use_external_head_ip", "disable_node_updaters"),
    *("disable_launch_config_check", "foreground_node_launch", "worker_liveness_check", "worker_rpc_drain"),
}
PROVIDER_KEYS = {
    "aws": {
        *_EVERY_PROVIDER,
        *("region", "availability_zone", "cache_stopped_nodes", "security_group", "key_pair"),
        *("aws_credentials", "cloudwatch"),
    },
    "local": {*_EVERY_PROVIDER, "head_ip", "worker_ips", "external_head_ip", "coordinator_address"},
}


def check_placeholders(file: ClusterFile) -> list[Finding]:
    """No CHANGE-ME is left. What a YAML alias repeats is told once."""
    places: dict[str, list[str]] = {}
    for where, value in strings_in(file.written):
        if PLACEHOLDER in value:
            places.setdefault(value, []).append(where)
    return [
        problem(
            where[0] + (f" and {len(where) - 1} more" if len(where) > 1 else ""),
            f"{value!r} is still to be changed",
            f"write yours; the comment in {file.path} says what",
        )
        for value, where in places.items()
    ] or [ok("values to change", f"no {PLACEHOLDER} is left")]


def check_provider_keys(file: ClusterFile) -> list[Finding]:
    """Every key below `provider` is one that Ray reads."""
    known = PROVIDER_KEYS.get(file.provider_type)
    if known is None:
        return [not_checked("provider", f"keys of {file.provider_type!r} are not known here")]
    return [
        problem(f"provider.{key}", "Ray reads no such key", f"one of {', '.join(sorted(known))}")
        for key in sorted(set(file.provider) - known)
    ] or [ok("provider", "every key is one that Ray reads")]


def check_mounts(file: ClusterFile) -> list[Finding]:
    """Every source of file_mounts is there; the token's is looked at by cluster_safety."""
    return [
        problem(
            f"file_mounts.{target}",
            f"{source} is missing on this machine",
            "run this command and 'ray up' where it is, or correct the path",
        )
        for target, source in file.mounts.items()
        if not target.endswith("auth_token") and not local_path(source).exists()
    ] or [ok("file_mounts", "every source is there")]


def check_workers(file: ClusterFile) -> list[Finding]:
    """Workers can start, and end when nothing is left to do."""
    if file.provider_type == "local":
        return _check_local_workers(file)
    findings = []
    num_workers = file.written.get("max_workers", 0)
    if num_workers < 1 or not file.worker_types:
        findings.append(problem("max_workers", f"{num_workers}: no worker can start", "allow at least 1"))
    for name, node in file.worker_types.items():
        if node.get("min_workers", 0) > 0:
            findings.append(
                problem(
                    f"available_node_types.{name}.min_workers",
                    f"{node['min_workers']}: so many are paid for as long as the head lives",
                    "0 lets the cluster shrink to its head",
                )
            )
    return findings or [ok("workers", f"0 to {num_workers}")]


def _check_local_workers(file: ClusterFile) -> list[Finding]:
    findings = []
    addresses = [str(file.provider.get("head_ip")), *map(str, file.provider.get("worker_ips") or ())]
    repeated = {address for address in addresses if addresses.count(address) > 1} - {PLACEHOLDER}
    for address in sorted(repeated):
        findings.append(problem("provider", f"{address} is named twice", "each machine once, the head too"))
    if file.provider.get("head_ip") in ("127.0.0.1", "localhost"):
        findings.append(
            problem(
                "provider.head_ip", "the workers cannot reach it there", "the head's address in the network"
            )
        )
    if "RAY_enable_autoscaler_v2=0" not in file.commands("head_start_ray_commands"):
        findings.append(
            problem(
                "head_start_ray_commands",
                "version 2 of the autoscaler starts one worker too few with provider local",
                "RAY_enable_autoscaler_v2=0 ray start --head ...",
            )
        )
    key = (file.written.get("auth") or {}).get("ssh_private_key")
    if key and not local_path(key).is_file():
        findings.append(problem("auth.ssh_private_key", f"{key} is missing", "ssh-keygen, then ssh-copy-id"))
    return findings or [ok("workers", f"{len(addresses) - 1} machines and the head")]
