"""What AWS itself says of a cluster file: credentials, image, security group, profile, instance types.

Read-only requests; where credentials lack a right or the network is away, the check says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tune_experiments.doctor.cluster_file import ClusterFile
from tune_experiments.doctor.cluster_safety import judge_rule
from tune_experiments.doctor.cluster_structure import PLACEHOLDER
from tune_experiments.doctor.finding import Finding, not_checked, ok, optional_module, problem, warning

_TIMEOUT_SECONDS = 5
_ALLOW = "allow it to who calls this command, or look at it in the console"
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


def check_account(file: ClusterFile) -> list[Finding]:
    """Ask AWS about everything that the file names."""
    if file.provider_type != "aws":
        return []
    boto3 = optional_module("boto3")
    if boto3 is None:
        return [not_checked("AWS account", "boto3 is not installed; ray up needs it", "pip install boto3")]
    session = boto3.session.Session(region_name=file.provider.get("region"))
    if session.get_credentials() is None:
        return [
            problem(
                "AWS credentials",
                "none found, so that ray up can start nothing, and image, group and role are not checked",
                "aws configure, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        ]
    account = _Account(session)
    who = account.ask("AWS credentials", lambda: account.client("sts").get_caller_identity()["Arn"])
    if isinstance(who, Finding):
        return [who]
    findings = [ok("AWS credentials", who)]
    for value, subject, check in _named_things(file, account):
        if PLACEHOLDER not in value:
            answer = account.ask(subject, check)
            findings += [answer] if isinstance(answer, Finding) else answer
    return findings


class _Account:
    """Clients that give up soon, and errors as findings."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._config = session_config()

    def client(self, service: str) -> Any:
        return self._session.client(service, config=self._config)

    def ask(self, subject: str, request: Callable[[], Any]) -> Any:
        """The request's result, or a finding where there is none."""
        exceptions = optional_module("botocore.exceptions")
        assert exceptions is not None, "boto3 is there, and botocore with it"
        try:
            return request()
        except exceptions.ClientError as error:
            code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code in _DENIED:
                return not_checked(subject, f"not allowed to ask: {text}", _ALLOW)
            return problem(subject, f"AWS says {code}: {text}", "correct it, or the region")
        except exceptions.BotoCoreError as error:
            return not_checked(
                subject, f"AWS gave no answer: {error}", "check the network, and AWS_ENDPOINT_URL"
            )


def session_config() -> Any:
    """Short time-outs: somebody waits at a terminal."""
    config = optional_module("botocore.config")
    assert config is not None, "boto3 is there, and botocore with it"
    return config.Config(
        connect_timeout=_TIMEOUT_SECONDS, read_timeout=2 * _TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
    )


def _named_things(file: ClusterFile, account: _Account) -> list[tuple[str, str, Callable[[], list[Finding]]]]:
    """(value, subject, check) of each image, group, profile and instance type, once."""
    things: dict[tuple[str, str], tuple[str, str, Callable[[], list[Finding]]]] = {}

    def add(kind: str, value: str, check: Callable[[str], list[Finding]]) -> None:
        things.setdefault((kind, value), (value, f"{kind} {value}", lambda: check(value)))

    for node in file.node_types.values():
        config = node.get("node_config") or {}
        if "ImageId" in config:
            disks = frozenset(
                mapping.get("DeviceName") for mapping in config.get("BlockDeviceMappings") or ()
            )
            add("image", config["ImageId"], partial(_check_image, account, disks))
        for group in config.get("SecurityGroupIds") or ():
            add("security group", group, partial(_check_group, account))
        profile = (config.get("IamInstanceProfile") or {}).get("Name")
        if profile:
            add("instance profile", profile, partial(_check_profile, account))
        if "InstanceType" in config:
            add("instance type", config["InstanceType"], partial(_check_offer, account))
    return list(things.values())


def _check_image(account: _Account, device_names: frozenset[str], image_id: str) -> list[Finding]:
    subject = f"image {image_id}"
    images = account.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    if not images:
        return [problem(subject, "is not in this region", "image ids differ from region to region")]
    root = images[0].get("RootDeviceName")
    if device_names and root not in device_names:
        return [
            problem(
                subject,
                f"its root disk is {root}; BlockDeviceMappings would add another beside it",
                f"DeviceName: {root}",
            )
        ]
    return [ok(subject, images[0].get("Name") or "is there")]


def _check_group(account: _Account, group_id: str) -> list[Finding]:
    subject = f"security group {group_id}"
    rules = account.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0][
        "IpPermissions"
    ]
    findings = [finding for rule in rules for finding in judge_rule(subject, rule)]
    if not any(
        rule["IpProtocol"] == "-1" and group_id in [pair.get("GroupId") for pair in rule["UserIdGroupPairs"]]
        for rule in rules
    ):
        findings.append(
            problem(
                subject,
                "its members cannot reach each other on every port",
                f"aws ec2 authorize-security-group-ingress --group-id {group_id} --protocol=-1 "
                f"--source-group {group_id}",
            )
        )
    if not any(_lets_ssh_in(rule) for rule in rules):
        findings.append(
            warning(
                subject,
                "port 22 is open to no address",
                f"aws ec2 authorize-security-group-ingress --group-id {group_id} --protocol tcp --port 22 "
                "--cidr YOUR.ADDRESS/32",
            )
        )
    return findings or [ok(subject, "members reach each other; port 22 is open, not to the world")]


def _lets_ssh_in(rule: dict[str, Any]) -> bool:
    covers = rule["IpProtocol"] == "-1" or rule.get("FromPort", 1) <= 22 <= rule.get("ToPort", 0)
    return covers and bool(rule.get("IpRanges") or rule.get("Ipv6Ranges") or rule.get("PrefixListIds"))


def _check_profile(account: _Account, name: str) -> list[Finding]:
    profile = account.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    subject = f"instance profile {name}"
    if not profile["Roles"]:
        return [problem(subject, "has no role", f"aws iam add-role-to-instance-profile ... {name}")]
    return [ok(subject, f"role {profile['Roles'][0]['RoleName']}")]


def _check_offer(account: _Account, instance_type: str) -> list[Finding]:
    subject = f"instance type {instance_type}"
    types = account.client("ec2").describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]
    if not types:
        return [problem(subject, "is not offered in this region", "choose another type or region")]
    return [ok(subject, f"offered: {', '.join(types[0]['SupportedUsageClasses'])}")]
