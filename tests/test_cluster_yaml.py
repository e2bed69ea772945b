"""cluster.yaml and cluster-local.yaml against Ray's own validators, against EC2 as moto plays it, and against
what the files promise."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ray", reason="the files are for Ray")
jsonschema = pytest.importorskip("jsonschema")
boto3 = pytest.importorskip("boto3")

from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
AWS_FILE, LOCAL_FILE = ROOT / "cluster.yaml", ROOT / "cluster-local.yaml"
FILES = pytest.mark.parametrize("path", [AWS_FILE, LOCAL_FILE], ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    """The file as it is written."""
    return yaml.safe_load(path.read_text())


def prepare(written: dict[str, Any]) -> dict[str, Any]:
    """The file as `ray up` sees it, defaults filled in."""
    config = prepare_config(copy.deepcopy(written))
    validate_config(config)
    return config


@pytest.fixture
def written() -> dict[str, Any]:
    return read(AWS_FILE)


@pytest.fixture
def prepared(written: dict[str, Any]) -> dict[str, Any]:
    return prepare(written)


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from strings_in(key)
            yield from strings_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings_in(child)
    else:
        yield str(value)


def worker_types(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: node
        for name, node in config["available_node_types"].items()
        if name != config["head_node_type"]
    }


def is_spot(node: dict[str, Any]) -> bool:
    return node["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot"


@FILES
def test_ray_accepts_the_file(path: Path) -> None:
    config = prepare(read(path))
    assert (
        config["cluster_name"]
        == {"cluster.yaml": "rcsweep", "cluster-local.yaml": "rcsweep-local"}[path.name]
    )
    assert config["provider"]["type"] == {"cluster.yaml": "aws", "cluster-local.yaml": "local"}[path.name]


@FILES
def test_ray_refuses_an_unknown_key(path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuets"):
        prepare(read(path) | {"idle_timeout_minuets": 10})


def test_ray_refuses_an_unknown_key_of_a_node_type(written: dict[str, Any]) -> None:
    written["available_node_types"]["gpu_spot"]["spot"] = True
    with pytest.raises(jsonschema.ValidationError, match="spot"):
        prepare(written)


def test_head_takes_no_trials_on_aws(prepared: dict[str, Any]) -> None:
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0
    assert not is_spot(head), "a lost head ends the sweep"
    assert "--num-cpus=0 --num-gpus=0" in prepared["head_start_ray_commands"][-1]


def test_workers_are_spot_first_with_an_on_demand_type(prepared: dict[str, Any]) -> None:
    workers = worker_types(prepared)
    spot = [node for node in workers.values() if is_spot(node)]
    on_demand = [node for node in workers.values() if not is_spot(node)]
    assert len(spot) == 1
    assert len(on_demand) == 1
    assert spot[0]["priority"] > on_demand[0]["priority"]
    assert on_demand[0]["max_workers"] <= 2
    for node in workers.values():
        assert node["min_workers"] == 0, "an idle cluster must shrink to its head"
        assert node["resources"]["GPU"] == 1
    assert prepared["max_workers"] == sum(node["max_workers"] for node in workers.values())
    assert 0 < prepared["idle_timeout_minutes"] <= 30
    assert prepared["provider"]["cache_stopped_nodes"] is False


def test_every_node_type_is_locked_down(prepared: dict[str, Any]) -> None:
    head = prepared["available_node_types"][prepared["head_node_type"]]
    for name, node in prepared["available_node_types"].items():
        config = node["node_config"]
        assert config["MetadataOptions"]["HttpTokens"] == "required", name
        # Ray makes a group with port 22 open to the world as soon as one node type has none of its own.
        assert config["SecurityGroupIds"], name
        assert all(mapping["Ebs"]["Encrypted"] for mapping in config["BlockDeviceMappings"]), name
        if node is not head:
            assert config["IamInstanceProfile"] != head["node_config"]["IamInstanceProfile"], (
                "the head may more"
            )


@FILES
def test_nothing_is_open_to_the_world(path: Path) -> None:
    config = prepare(read(path))
    assert "security_group" not in config["provider"], "its IpPermissions add to Ray's open port 22"
    assert not [text for text in strings_in(config) if "0.0.0.0" in text or "::/0" in text]
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


@FILES
def test_every_node_gets_the_token_and_runs_the_setup_script(path: Path) -> None:
    config = prepare(read(path))
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["file_mounts"]["~/rcsweep/deploy"] == "deploy"
    for commands in (config["head_setup_commands"], config["worker_setup_commands"]):
        assert [
            line for line in commands if "bash ~/rcsweep/deploy/setup-node.sh ~/rcsweep" in line
        ] == commands
        assert len(commands) == 1


@FILES
def test_shipped_files_exist_and_suffice_for_the_installation(path: Path) -> None:
    mounts = read(path)["file_mounts"]
    shipped = {source for target, source in mounts.items() if target.startswith("~/rcsweep/")}
    assert len(shipped) == len(mounts) - 1, "all but the token go to ~/rcsweep"
    assert [source for source in sorted(shipped) if not (ROOT / source).exists()] == []
    assert {
        "rc_core",
        "tune_experiments",
        "analysis",
        "pyproject.toml",
        "constraints.txt",
        "deploy",
    } <= shipped


def test_autoscaler_v2_is_off_where_it_starts_one_worker_too_few() -> None:
    assert "RAY_enable_autoscaler_v2=0" in read(LOCAL_FILE)["head_start_ray_commands"][-1]


@FILES
def test_a_lost_node_is_noticed_soon(path: Path) -> None:
    command = read(path)["head_start_ray_commands"][-1]
    values = dict(re.findall(r"RAY_health_check_(\w+)=(\d+)", command))
    noticed_ms = int(values["failure_threshold"]) * (int(values["period_ms"]) + int(values["timeout_ms"]))
    assert noticed_ms <= 25_000


@FILES
def test_what_the_user_must_change_is_on_top_and_nobody_is_named(path: Path) -> None:
    text = path.read_text()
    top = text.index("No change below") if path == AWS_FILE else text.index("file_mounts:")
    assert "CHANGE-ME" in text[:top]
    assert not re.findall(r"(?m)^[^#\n]*CHANGE-ME", text[top:])
    assert not re.findall(
        r"\b\d{12}\b|\b(?:ami|sg|subnet|vpc)-[0-9a-f]{8,}\b|\b\d+\.\d+\.\d+\.[1-9]\d*\b(?<!127.0.0.1)", text
    )


# What follows starts instances: of moto's EC2, on the loopback interface.


@pytest.fixture
def ec2(s3_server: Any, s3_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of moto's EC2, which Ray is led to as well; Ray keeps its keys below HOME."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_server.port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("HOME", str(tmp_path))
    return boto3.client("ec2", region_name="us-west-2")


@pytest.fixture
def filled_in(written: dict[str, Any], ec2: Any) -> dict[str, Any]:
    """The AWS file with an image, a group and instance profiles that moto's account has."""
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName=f"g{id(written)}", Description="own", VpcId=vpc)["GroupId"]
    image = ec2.describe_images(Filters=[{"Name": "root-device-type", "Values": ["ebs"]}])["Images"][0][
        "ImageId"
    ]
    iam = boto3.client("iam", region_name="us-west-2")
    known = {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]}
    for name in {"rcsweep-head", "rcsweep-worker"} - known:
        iam.create_instance_profile(InstanceProfileName=name)
    text = json.dumps(written).replace("ami-CHANGE-ME", image).replace("sg-CHANGE-ME", group)
    return json.loads(text)


@pytest.mark.timeout(120)
def test_the_instances_that_ray_starts_have_profile_group_disk_and_tags(
    filled_in: dict[str, Any], ec2: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    caplog.set_level(logging.CRITICAL)
    config = bootstrap_aws(prepare(filled_in))
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    group = filled_in["available_node_types"]["head"]["node_config"]["SecurityGroupIds"]
    try:
        for name, (profile, instance_type, lifecycle) in {
            "head": ("rcsweep-head", "m6i.xlarge", None),
            "gpu_spot": ("rcsweep-worker", "g5.2xlarge", "spot"),
            "gpu_on_demand": ("rcsweep-worker", "g5.2xlarge", None),
        }.items():
            node_config = config["available_node_types"][name]["node_config"]
            (instance_id,) = provider.create_node(node_config, {"ray-user-node-type": name}, 1)
            reservation = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]
            (instance,) = reservation["Instances"]
            assert instance["InstanceType"] == instance_type
            assert instance.get("InstanceLifecycle") == lifecycle
            assert instance["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{profile}")
            assert [entry["GroupId"] for entry in instance["SecurityGroups"]] == group
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            assert tags["project"] == "rcsweep"
            assert tags["ray-cluster-name"] == "rcsweep", "deploy/aws/head-policy.json rests on it"
            (disk,) = instance["BlockDeviceMappings"]
            assert disk["DeviceName"] == "/dev/sda1"
            (volume,) = ec2.describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
            assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
            assert {"Key": "project", "Value": "rcsweep"} in volume["Tags"]
    finally:
        provider.terminate_nodes(provider.non_terminated_nodes({}))


def test_ray_uses_the_group_of_the_file_and_makes_none(filled_in: dict[str, Any], ec2: Any) -> None:
    from ray.autoscaler._private.aws.config import bootstrap_aws

    before = {group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    config = bootstrap_aws(prepare(filled_in))
    assert {group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]} == before
    chosen = [node["node_config"]["SecurityGroupIds"] for node in config["available_node_types"].values()]
    assert chosen == [filled_in["available_node_types"]["head"]["node_config"]["SecurityGroupIds"]] * 3


@pytest.mark.timeout(120)
def test_the_heads_policy_allows_what_ray_does_there(
    filled_in: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.client
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = bootstrap_aws(prepare(filled_in))  # by `ray up`, elsewhere
    asked: set[str] = set()
    make_call = botocore.client.BaseClient._make_api_call

    def record(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        asked.add(f"{client.meta.service_model.service_name}:{operation}")
        return make_call(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", record)
    AWSNodeProvider.fillout_available_node_types_resources(config)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    worker = config["available_node_types"]["gpu_spot"]["node_config"]
    nodes = list(provider.create_node(worker, {"ray-node-kind": "worker"}, 2))
    assert set(nodes) <= set(provider.non_terminated_nodes({}))
    provider.set_node_tags(nodes[0], {"ray-node-status": "up-to-date"})
    provider.terminate_nodes(nodes)

    policy = json.loads((ROOT / "deploy/aws/head-policy.json").read_text())
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "ec2:DescribeInstances"} <= asked
    assert asked <= allowed
