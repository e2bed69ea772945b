"""Whether a cluster keeps strangers out: Ray's ports run any command that reaches them (CVE-2023-48022)."""

from __future__ import annotations

import re
import stat

from tune_experiments.doctor.cluster_file import ClusterFile, local_path, strings_in
from tune_experiments.doctor.finding import Finding, ok, problem, warning

WORLD = ("0.0.0.0/0", "::/0")
SSH_PORT = 22

_OPEN_ADDRESS = re.compile(
    r"--(?:dashboard-host|node-ip-address|ray-client-server-host)[= ](0\.0\.0\.0|::)(?=\s|$)"
)


def check_token(file: ClusterFile) -> list[Finding]:
    """Every node gets the token, keeps it to itself and asks for it."""
    findings = []
    commands = file.commands()
    mounted = [source for target, source in file.mounts.items() if target.endswith(".ray/auth_token")]
    if not mounted:
        findings.append(
            problem(
                "file_mounts",
                "ship no token, so that Ray's ports take commands from whoever reaches them",
                "~/.ray/auth_token: ~/.ray/auth_token",
            )
        )
    if "RAY_AUTH_MODE=token" not in commands:
        findings.append(
            problem(
                "setup_commands",
                "no node asks for the token",
                "export RAY_AUTH_MODE=token in ~/.bashrc; deploy/setup-node.sh does",
            )
        )
    if mounted and "chmod 600" not in commands:
        findings.append(
            warning("setup_commands", "others on a node may read the token", "chmod 600 ~/.ray/auth_token")
        )
    for source in mounted:
        path = local_path(source)
        if not path.is_file() or not path.read_text().strip():
            findings.append(
                problem(source, "there is no token on this machine", "ray get-auth-token --generate")
            )
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            findings.append(warning(source, "others on this machine may read it", f"chmod 600 {source}"))
    return findings or [ok("token", "shipped, kept private and asked for")]


def check_ports(file: ClusterFile) -> list[Finding]:
    """Nothing but ssh is open to the world, as far as the file says."""
    findings = [
        problem(
            where,
            f"{found[0]} opens the dashboard to every network of the head",
            "127.0.0.1; 'ray dashboard' makes a tunnel",
        )
        for where, text in strings_in(file.written)
        if (found := _OPEN_ADDRESS.search(text))
    ]
    group = file.provider.get("security_group") or {}
    for rule in group.get("IpPermissions") or ():
        findings += judge_rule("provider.security_group", rule)
    if file.provider_type == "aws":
        for name, node in file.node_types.items():
            config = node.get("node_config") or {}
            if not config.get("SecurityGroupIds") and not config.get("NetworkInterfaces"):
                findings.append(
                    warning(
                        f"available_node_types.{name}.node_config",
                        "without SecurityGroupIds Ray makes a group that opens port 22 to everyone",
                        "name a group of yours",
                    )
                )
            if (config.get("MetadataOptions") or {}).get("HttpTokens") != "required":
                findings.append(
                    warning(
                        f"available_node_types.{name}.node_config",
                        "the instance's credentials can be had without a session (IMDSv1)",
                        "MetadataOptions: {HttpTokens: required}",
                    )
                )
    return findings or [ok("ports", "the file opens none to the world")]


def judge_rule(subject: str, rule: dict[str, object]) -> list[Finding]:
    """What an inbound rule of a security group, in EC2's form, opens to the world."""
    ranges = [*_addresses(rule, "IpRanges", "CidrIp"), *_addresses(rule, "Ipv6Ranges", "CidrIpv6")]
    world = [address for address in ranges if address in WORLD]
    if not world:
        return []
    first, last = rule.get("FromPort"), rule.get("ToPort")
    if rule.get("IpProtocol") in ("tcp", "6") and first == last == SSH_PORT:
        return [
            warning(subject, f"port 22 is open to {world[0]}", "allow your own address alone: A.B.C.D/32")
        ]
    ports = (
        "every port" if first is None else f"port {first}" if first == last else f"ports {first} to {last}"
    )
    return [
        problem(subject, f"{ports} open to {world[0]}", "port 22 is enough; reach the dashboard by a tunnel")
    ]


def _addresses(rule: dict[str, object], ranges: str, key: str) -> list[str]:
    listed = rule.get(ranges)
    return [str(entry.get(key)) for entry in listed] if isinstance(listed, list) else []
