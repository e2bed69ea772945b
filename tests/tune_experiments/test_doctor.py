"""`rcsweep doctor`: each planted mistake is found, good files pass, and what cannot be checked is said.

AWS is moto's, on the loopback interface; sizes of instance types are compared with EC2's own description.
"""

import copy
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rc_core.cells import PruneCell, TrainCell
from tune_experiments.commands.doctor import Doctor, parse_prices
from tune_experiments.commands.options import UsageError
from tune_experiments.doctor import cluster_safety, cluster_structure, cluster_versions, devices, machine
from tune_experiments.doctor.aws_account import check_account
from tune_experiments.doctor.cluster_cost import check_cost
from tune_experiments.doctor.cluster_file import ClusterFileError, check_by_ray, read_cluster_file
from tune_experiments.doctor.cluster_price import ClusterPrice, NodePrice, price_cluster, price_sweep
from tune_experiments.doctor.finding import Finding, Level, has_problem, ok, problem
from tune_experiments.doctor.instance_types import DISK_DOLLARS_PER_GB_HOUR, INSTANCE_TYPES
from tune_experiments.doctor.node_config import check_node_configs
from tune_experiments.doctor.node_sizes import check_instance_types
from tune_experiments.doctor.results_folder import check_results_folder, check_shared_results
from tune_experiments.plan import Plan

boto3 = pytest.importorskip("boto3")
ray = pytest.importorskip("ray")

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-west-2"


def levels(findings):
    return {finding.level for finding in findings}


def only_problem(findings):
    (found,) = [finding for finding in findings if finding.level is Level.PROBLEM]
    assert found.way_out, "every problem says the way out"
    return found


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a token and a key; files are shipped from the repository."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (".ray/auth_token", ".ssh/id_ed25519"):
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True)
        path.write_text("secret\n")
        path.chmod(0o600)
    monkeypatch.chdir(ROOT)
    return tmp_path / "home"


@pytest.fixture
def good(home):
    """cluster.yaml with every placeholder filled in, as nested dictionaries."""
    text = (ROOT / "cluster.yaml").read_text()
    text = text.replace("ami-CHANGE-ME", "ami-11111111").replace("sg-CHANGE-ME", "sg-22222222")
    # Without the aliases of YAML, so that a change of one node type is a change of that one alone.
    return json.loads(json.dumps(yaml.safe_load(text)))


@pytest.fixture
def read(tmp_path):
    """Writes a dictionary as a cluster file and reads it as the doctor does."""

    def write_and_read(content):
        path = tmp_path / "cluster.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return read_cluster_file(path)

    return write_and_read


def static_findings(read, content):
    """Of every check that asks nobody."""
    file = read(content)
    findings = check_by_ray(file)
    if has_problem(findings):
        return findings
    return [
        *findings,
        *cluster_structure.check_placeholders(file),
        *cluster_structure.check_provider_keys(file),
        *check_node_configs(file),
        *cluster_structure.check_workers(file),
        *check_instance_types(file),
        *cluster_structure.check_mounts(file),
        *cluster_versions.check_versions(file),
        *cluster_safety.check_token(file),
        *cluster_safety.check_ports(file),
    ]


def test_a_good_file_passes(read, good):
    findings = static_findings(read, good)
    assert [finding for finding in findings if finding.level is Level.PROBLEM] == []
    assert {finding.subject for finding in findings if finding.level is Level.WARNING} <= {"Python"}


def test_the_local_file_passes_once_it_is_filled_in(read, home):
    text = (ROOT / "cluster-local.yaml").read_text()
    content = yaml.safe_load(text.replace("CHANGE-ME", "192.0.2.1"))
    content["provider"]["worker_ips"] = ["192.0.2.2", "192.0.2.3"]
    assert Level.PROBLEM not in levels(static_findings(read, content))


def plant(content, path, value):
    """A copy with one value changed; `path` is of keys with colons between."""
    changed = copy.deepcopy(content)
    *parents, last = path.split(":")
    place = changed
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


NODE = "available_node_types:gpu_spot:node_config"
MISTAKES = {
    "key that Ray does not know": ("idle_timeout_minuets", 10, "idle_timeout_minuets"),
    "head type that is not there": ("head_node_type", "leader", "head_node_type"),
    "provider key that Ray passes over": ("provider:availability_zones", "us-west-2a", "reads no such key"),
    "node key that Ray passes over": (f"{NODE}:SecurityGroupId", ["sg-1"], "Unknown parameter"),
    "nested key": (f"{NODE}:MetadataOptions", {"HttpTokens": "required", "HttpToken": "x"}, '"HttpToken"'),
    "type of a value": (f"{NODE}:SecurityGroupIds", "sg-1", "Invalid type"),
    "value of an enumeration": (f"{NODE}:InstanceMarketOptions", {"MarketType": "Spot"}, "'Spot'"),
    "instance type that is none": (f"{NODE}:InstanceType", "g5.3xlarge", "'g5.3xlarge'"),
    "placeholder": (f"{NODE}:ImageId", "ami-CHANGE-ME", "still to be changed"),
    "source that is missing": ("file_mounts:~/rcsweep/rc_core", "rc_kernel", "rc_kernel is missing"),
    "workers that never leave": ("available_node_types:gpu_spot:min_workers", 1, "paid for as long"),
    "section of another shape": ("file_mounts", ["rc_core"], "'list' object has no attribute 'items'"),
    "number that is a word": ("available_node_types:gpu_spot:min_workers", "one", "not of type 'integer'"),
    "no workers": ("max_workers", 0, "no worker can start"),
    "more GPUs than there are": ("available_node_types:gpu_spot:resources", {"CPU": 8, "GPU": 4}, "has 1"),
    "a spot head": (
        "available_node_types:head:node_config:InstanceMarketOptions",
        {"MarketType": "spot"},
        "the head is a spot instance",
    ),
    "another version of Ray": ("setup_commands", ["pip install ray==2.9.0 # RAY_AUTH_MODE=token"], "2.9.0"),
    "no version of Ray": ("setup_commands", ["pip install ray # RAY_AUTH_MODE=token"], "pin no version"),
    "an old Python": (
        "initialization_commands",
        ["python3.10 -m venv ~/venv"],
        "3.10 and 3.12 on the nodes",
    ),
    "no token": ("file_mounts:~/.ray/auth_token", None, "ship no token"),
    "an open dashboard": (
        "head_start_ray_commands",
        ["ray start --head --dashboard-host=0.0.0.0"],
        "opens the dashboard",
    ),
    "open ports": (
        "provider:security_group",
        {
            "IpPermissions": [
                {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ]
        },
        "port 6379 open to 0.0.0.0/0",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_planted_mistake_is_the_one_problem_that_is_found(mistake, read, good):
    path, value, message = MISTAKES[mistake]
    found = only_problem(static_findings(read, plant(good, path, value)))
    assert message in f"{found.subject}: {found.message}"


def test_nodes_that_do_not_ask_for_the_token(read, good):
    file = read(plant(good, "setup_commands", ["chmod 600 ~/.ray/auth_token"]))
    assert only_problem(cluster_safety.check_token(file)).subject == "setup_commands"


def test_a_token_that_is_missing_or_that_others_may_read(read, good, home):
    file = read(good)
    token = home / ".ray/auth_token"
    token.chmod(0o644)
    (found,) = cluster_safety.check_token(file)
    assert found.level is Level.WARNING
    assert found.way_out == "chmod 600 ~/.ray/auth_token"
    token.unlink()
    assert "ray get-auth-token" in only_problem(cluster_safety.check_token(file)).way_out


def test_a_group_that_ray_would_make_is_told_of(read, good):
    file = read(plant(good, f"{NODE}:SecurityGroupIds", None))
    (found,) = cluster_safety.check_ports(file)
    assert found.level is Level.WARNING
    assert "22 to everyone" in found.message


def test_a_placeholder_that_an_alias_repeats_is_told_once(home):
    file = read_cluster_file(ROOT / "cluster.yaml")
    found = cluster_structure.check_placeholders(file)
    assert [(finding.subject, finding.message.split("'")[1]) for finding in found] == [
        ("available_node_types.head.node_config.ImageId and 2 more", "ami-CHANGE-ME"),
        ("available_node_types.head.node_config.SecurityGroupIds[0] and 2 more", "sg-CHANGE-ME"),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_ip": "127.0.0.1"}, "cannot reach it"),
        ({"worker_ips": ["192.0.2.2", "192.0.2.2"]}, "192.0.2.2 is named twice"),
    ],
)
def test_mistakes_in_a_local_file(change, message, read, home):
    content = yaml.safe_load((ROOT / "cluster-local.yaml").read_text())
    content["provider"] |= {"head_ip": "192.0.2.1", "worker_ips": ["192.0.2.2"]} | change
    file = read(content)
    assert message in only_problem(cluster_structure.check_workers(file)).message


def test_autoscaler_v2_on_local_machines_is_a_problem(read, home):
    content = yaml.safe_load((ROOT / "cluster-local.yaml").read_text())
    content["head_start_ray_commands"] = ["ray start --head"]
    file = read(content)
    assert "one worker too few" in only_problem(cluster_structure.check_workers(file)).message


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is no YAML"), ("- a", "no section 'provider'"), ("provider: aws", "'provider'")],
)
def test_what_is_no_cluster_file_is_refused(text, message, tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ClusterFileError, match=message):
        read_cluster_file(path)


def test_a_rule_of_a_security_group():
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    assert cluster_safety.judge_rule("g", ssh | {"IpRanges": [{"CidrIp": "192.0.2.7/32"}]}) == []
    (found,) = cluster_safety.judge_rule("g", ssh | {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    assert found.level is Level.WARNING
    (found,) = cluster_safety.judge_rule("g", {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]})
    assert (found.level, found.message) == (Level.PROBLEM, "every port open to ::/0")
    (found,) = cluster_safety.judge_rule("g", ssh | {"ToPort": 8265, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    assert (found.level, found.message) == (Level.PROBLEM, "ports 22 to 8265 open to 0.0.0.0/0")


@pytest.mark.parametrize(
    ("pins", "installed", "level"),
    [
        (["2.60.0", "2.60.0"], "2.60.0", Level.OK),
        (["2.60.0"], "2.60.0+cpu", Level.OK),
        (["2.60.0"], None, Level.NOT_CHECKED),
        (["2.60.0"], "2.61.0", Level.PROBLEM),
        (["2.60.0", "2.9.0"], "2.60.0", Level.PROBLEM),
        ([], "2.60.0", Level.PROBLEM),
    ],
)
def test_pins_of_ray(pins, installed, level):
    assert [finding.level for finding in cluster_versions.judge_pins("ray", pins, installed)] == [level]


def test_another_torch_is_a_warning():
    (found,) = cluster_versions.judge_pins("torch", ["2.14.1"], "2.13.0+cu130")
    assert (found.level, found.message) == (Level.WARNING, "2.14.1 on the nodes, 2.13.0+cu130 here")


# Costs, by hand.

HEAD = NodePrice(name="head", dollars_per_hour=0.2, num_devices=4, has_gpus=False, min_nodes=0, max_nodes=0)
SPOT = NodePrice(name="spot", dollars_per_hour=1.0, num_devices=2, has_gpus=True, min_nodes=1, max_nodes=3)
SURE = NodePrice(name="sure", dollars_per_hour=3.0, num_devices=2, has_gpus=True, min_nodes=0, max_nodes=2)


def test_dollars_an_hour_from_the_head_alone_to_the_dearest_workers():
    price = ClusterPrice(head=HEAD, workers=(SPOT, SURE), max_workers=4)
    assert price.min_dollars_per_hour == pytest.approx(0.2 + 1 * 1.0)
    assert price.max_dollars_per_hour == pytest.approx(0.2 + 2 * 3.0 + 2 * 1.0)
    assert price.num_devices == 3 * 2 + 1 * 2
    assert price.dollars_per_device_hour == pytest.approx(0.5)


def test_cpus_of_a_cluster_with_gpus_are_not_devices():
    cpus = NodePrice(
        name="cpu", dollars_per_hour=1.0, num_devices=16, has_gpus=False, min_nodes=0, max_nodes=2
    )
    assert ClusterPrice(head=HEAD, workers=(SPOT, cpus), max_workers=9).num_devices == 3 * 2
    assert ClusterPrice(head=HEAD, workers=(cpus,), max_workers=9).num_devices == 2 * 16


def make_plan_of(num_trains, num_prunes, train_hours, prune_hours):
    trains = [TrainCell(randomization=0.0, seed=seed) for seed in range(num_trains)]
    prunes = [PruneCell(randomization=0.0, seed=seed, sparsity=0.5) for seed in range(num_prunes)]
    return Plan(
        to_run=(*trains, *prunes),
        finished=(),
        cell_seconds={"train": 3600 * train_hours, "prune": 3600 * prune_hours},
        disk_bytes=0,
        basis="by hand",
    )


def test_dollars_of_a_sweep():
    price = ClusterPrice(head=HEAD, workers=(SPOT, SURE), max_workers=4)  # 8 devices
    sweep = price_sweep(price, make_plan_of(16, 16, 2.0, 1.0), device_speed=2.0, idle_hours=0.5)
    assert sweep.wall_hours == pytest.approx(48 / 2 / 8)
    assert sweep.min_dollars == pytest.approx(3 * 0.2 + 24 * 0.5)
    assert sweep.max_dollars == pytest.approx((3 + 0.5) * 8.2)


def test_a_sweep_lasts_as_long_as_its_longest_chain():
    price = ClusterPrice(head=HEAD, workers=(SPOT,), max_workers=3)  # 6 devices
    assert price_sweep(price, make_plan_of(1, 1, 2.0, 1.0), 1.0, 0.0).wall_hours == pytest.approx(3.0)
    assert price_sweep(price, make_plan_of(0, 1, 2.0, 1.0), 1.0, 0.0).wall_hours == pytest.approx(1.0)


def test_prices_of_the_file_that_is_shipped(read, good):
    file = read(good)
    price = price_cluster(file, {})
    disk = 100 * DISK_DOLLARS_PER_GB_HOUR
    assert price.min_dollars_per_hour == pytest.approx(0.192 + disk)
    assert price.max_dollars_per_hour == pytest.approx(0.192 + 14 * 1.212 + 15 * disk)
    cheaper = price_cluster(file, {"gpu_spot": 0.5})
    assert cheaper.max_dollars_per_hour == pytest.approx(0.192 + 2 * 1.212 + 12 * 0.5 + 15 * disk)
    (an_hour, of_the_sweep) = check_cost(file, {}, make_plan_of(14, 0, 1.0, 0.0), 1.0)
    assert an_hour.message.startswith("$0.20 with the head alone, at most $17.32 ")
    assert of_the_sweep.message.startswith("$17.32 to $20.21 for 14 cells in at least 1.0 h on 14 devices")


def test_a_price_that_is_not_known_is_asked_for(read, good):
    file = read(plant(good, f"{NODE}:InstanceType", "trn1.2xlarge"))
    (found,) = check_cost(file, {}, None, 1.0)
    assert (found.level, found.way_out) == (Level.WARNING, "--price trn1.2xlarge=DOLLARS_PER_HOUR")
    (found,) = check_cost(file, {"trn1.2xlarge": 1.3}, None, 1.0)
    assert found.level is Level.OK


def test_prices_are_read_from_the_command_line():
    assert parse_prices(("g5.2xlarge=0.45", "head=0")) == {"g5.2xlarge": 0.45, "head": 0.0}
    for text in ("g5.2xlarge", "=1", "a=b", "a=-1", "a=nan", "a=inf"):
        with pytest.raises(UsageError, match="TYPE=DOLLARS"):
            parse_prices((text,))


def test_sizes_are_those_that_ec2_describes():
    """moto carries EC2's own answers to DescribeInstanceTypes."""
    import moto.ec2

    described = json.loads(
        gzip.decompress((Path(moto.ec2.__file__).parent / "resources/instance_types.json.gz").read_bytes())
    )
    for name, size in INSTANCE_TYPES.items():
        truth = described[name]
        (gpus,) = truth.get("GpuInfo", {}).get(
            "Gpus", [{"Count": 0, "Name": "", "MemoryInfo": {"SizeInMiB": 0}}]
        )
        assert size.num_cpus == truth["VCpuInfo"]["DefaultVCpus"], name
        assert size.memory_gib * 1024 == truth["MemoryInfo"]["SizeInMiB"], name
        assert (size.num_gpus, size.gpu) == (gpus["Count"], gpus["Name"]), name
        assert (
            abs(size.gpu_memory_gb * 1024 - gpus["MemoryInfo"]["SizeInMiB"])
            <= 0.08 * 1024 * size.gpu_memory_gb
        )
        assert size.dollars_per_hour > 0


# AWS, as moto plays it.


@pytest.fixture
def aws(s3_server, s3_credentials, monkeypatch):
    """An account that has what the good file names: (region's EC2 client, its file's changes)."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_server.port}")
    return boto3.client("ec2", region_name=REGION)


@pytest.fixture(scope="module")
def image(s3_server):
    """Id of an image whose root disk is /dev/sda1. moto has thousands, so it is asked once."""
    keys = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-secret"}
    url = f"http://127.0.0.1:{s3_server.port}"
    images = boto3.client("ec2", region_name=REGION, endpoint_url=url, **keys).describe_images()["Images"]
    return next(image["ImageId"] for image in images if image["RootDeviceName"] == "/dev/sda1")


@pytest.fixture
def account(aws, good, image):
    """The good file with an image, a group and profiles that the account has."""
    group = aws.create_security_group(GroupName=f"group-{id(good)}", Description="own")["GroupId"]
    aws.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]},
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.7/32"}]},
        ],
    )
    iam = boto3.client("iam", region_name=REGION)
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    profiles = {
        profile["InstanceProfileName"]: profile
        for profile in iam.list_instance_profiles()["InstanceProfiles"]
    }
    for name in ("rcsweep-head", "rcsweep-worker"):
        if name not in roles:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        if name not in profiles:
            iam.create_instance_profile(InstanceProfileName=name)
        if not profiles.get(name, {}).get("Roles"):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return json.loads(json.dumps(good).replace("ami-11111111", image).replace("sg-22222222", group))


def test_an_account_that_has_everything(account, read):
    file = read(account)
    findings = check_account(file)
    assert levels(findings) == {Level.OK}
    assert [finding.subject.split()[0:2] for finding in findings] == [
        ["AWS", "credentials"],
        ["image", account["available_node_types"]["head"]["node_config"]["ImageId"]],
        ["security", "group"],
        ["instance", "profile"],
        ["instance", "type"],
        ["instance", "profile"],
        ["instance", "type"],
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{NODE}:ImageId", "ami-00000000", "InvalidAMIID"),
        (f"{NODE}:SecurityGroupIds", ["sg-00000000"], "InvalidGroup"),
        (f"{NODE}:IamInstanceProfile", {"Name": "nobody"}, "NoSuchEntity"),
        (
            f"{NODE}:BlockDeviceMappings",
            [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 100}}],
            "root disk",
        ),
    ],
)
def test_an_account_that_lacks_something(path, value, message, account, read):
    if (
        "root disk" in message
    ):  # the same image in other node types has the right disk: ask once, for this one
        account["available_node_types"] = {"head": account["available_node_types"]["gpu_spot"]}
        path = path.replace("gpu_spot", "head")
    file = read(plant(account, path, value))
    assert message in only_problem(check_account(file)).message


def test_a_group_that_is_open_and_whose_members_do_not_meet(aws, account, read):
    group = aws.create_security_group(GroupName=f"open-{id(account)}", Description="open")["GroupId"]
    aws.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ],
    )
    file = read(plant(account, f"{NODE}:SecurityGroupIds", [group]))
    messages = [finding.message for finding in check_account(file) if finding.level is Level.PROBLEM]
    assert messages == [
        "ports 0 to 65535 open to 0.0.0.0/0",
        "its members cannot reach each other on every port",
    ]


def test_no_credentials_and_no_answer(account, read, monkeypatch):
    file = read(account)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (found,) = check_account(file)
    assert (found.level, found.subject) == (Level.NOT_CHECKED, "AWS credentials")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = only_problem(check_account(file))
    assert "none found" in found.message


def test_a_bucket_that_is_there_that_is_not_and_that_gives_no_answer(s3_uri, monkeypatch):
    (found,) = check_shared_results(s3_uri)
    assert (found.level, found.message) == (Level.OK, "a file was written, read and deleted")
    (found,) = check_shared_results("s3://no-such-bucket/sweeps")
    assert found.level is Level.PROBLEM
    assert "there is no bucket 'no-such-bucket'" in found.message
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (found,) = check_shared_results(s3_uri)
    assert found.level is Level.NOT_CHECKED


def test_a_folder_of_this_machine_says_nothing_about_a_cluster():
    (found,) = check_shared_results("results")
    assert found.level is Level.NOT_CHECKED


def test_the_results_folder_is_left_as_it_was(tmp_path):
    (found,) = check_results_folder(str(tmp_path))
    assert found.level is Level.OK
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert "cannot be written" in only_problem(check_results_folder(str(tmp_path / "file" / "below"))).message


# This machine.


def test_python():
    assert levels(machine.check_python((3, 11, 0))) == {Level.OK}
    assert only_problem(machine.check_python((3, 10, 14))).message == "3.10.14"


def test_packages_are_named_with_the_versions_that_are_installed():
    findings = {finding.subject: finding for finding in machine.check_packages()}
    assert findings["numpy"] == ok("numpy", np.__version__)
    assert findings["ray"] == ok("ray", ray.__version__)
    assert Level.PROBLEM not in {finding.level for finding in findings.values()}


def test_packages_that_do_not_fit(monkeypatch):
    monkeypatch.setattr(
        machine.metadata,
        "requires",
        lambda name: [
            "numpy>=99",
            "no-such-package>=1",
            'no-such-extra>=1; extra == "images"',
            "numpy; extra == 'dev'",
        ],
    )
    numpy_, missing, extra = machine.check_packages()
    assert (numpy_.level, missing.level, extra.level) == (Level.PROBLEM, Level.PROBLEM, Level.WARNING)
    assert ">=99 is needed" in numpy_.message
    assert extra.way_out == "pip install -c constraints.txt -e '.[images]'"


def test_cpu_quota_and_memory_are_read_as_the_kernel_writes_them():
    assert machine.cpu_quota("150000 100000\n") == 1.5
    assert machine.cpu_quota("max 100000\n") is None
    assert machine.cpu_quota("") is None
    assert machine.meminfo_bytes("MemTotal:  10 kB\nMemAvailable:    3 kB\n", "MemAvailable") == 3072
    assert machine.meminfo_bytes("", "MemAvailable") is None


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "level"),
    [(100, 50, Level.OK), (100, 5.5, Level.OK), (100, 4.9, Level.PROBLEM), (40, 4, Level.WARNING)],
)
def test_disks(total_gib, free_gib, level):
    found = machine.judge_disk("disk", Path("/x"), total_gib * machine.GIB, int(free_gib * machine.GIB))
    assert found.level is level


def test_data_that_is_not_there_says_how_to_make_it(tmp_path):
    (found,) = machine.check_data(tmp_path)
    assert found.level is Level.WARNING
    assert "rcsweep data prepare cifar10" in found.way_out


def test_a_browser_that_is_named_and_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "chrome"))
    assert levels(machine.check_browser()) == {Level.WARNING}
    browser = tmp_path / "chrome"
    browser.touch(0o755)
    assert machine.check_browser() == [ok("image files", f"drawn by {browser}")]


def test_devices_as_torch_tells_them():
    gpu = {"name": "NVIDIA A10G", "memory_bytes": 24 * 2**30, "sum": 64.0**3}
    assert devices.judge_devices({"cuda": "13.0", "gpus": [gpu], "sum": 64.0**3}) == [
        ok("GPU 0", "NVIDIA A10G, 24.0 GiB")
    ]
    broken = devices.judge_devices({"cuda": "13.0", "gpus": [gpu | {"sum": 0.0}], "sum": 64.0**3})
    assert "multiplies wrongly" in only_problem(broken).message
    (found,) = devices.judge_devices({"cuda": None, "gpus": [], "sum": 64.0**3})
    assert (found.level, found.subject) == (Level.WARNING, "GPU")


def test_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setattr(devices, "_SCRIPT", "raise ImportError('libcudart.so is missing')")
    assert "libcudart.so is missing" in only_problem(devices.check_devices()).message


def rcsweep(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tune_experiments", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_on_this_machine(tmp_path):
    done = rcsweep("doctor", "--storage", tmp_path / "results", "--json")
    findings = [
        Finding(Level(entry["level"]), *list(entry.values())[1:]) for entry in json.loads(done.stdout)
    ]
    assert done.returncode == (1 if Level.PROBLEM in levels(findings) else 0), done.stderr
    assert {"Python", "torch", "CPUs", "memory", "disk of results", "CIFAR-10", "image files"} <= {
        finding.subject for finding in findings
    }
    assert findings[-1] == ok(f"storage {tmp_path / 'results'}", "a file was written, read and deleted")


def test_the_command_on_a_cluster_file(account, s3_uri, tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(account))
    doctor = Doctor(cluster=path, recipe="paper", storage=s3_uri, price=("gpu_spot=0.5",))
    assert doctor.run() == 0
    printed = capsys.readouterr().out
    assert "problem      " not in printed
    # 90 cells: 15 of 64,000 and 75 of 20,000 steps of .0549 s = 37.5 h, on 12 + 2 devices.
    assert "for 90 cells in at least 2.7 h on 14 devices" in printed
    assert printed.splitlines()[-1].startswith("0 problem(s)")
    path.write_text(yaml.safe_dump(plant(account, "provider:regoin", "x")))
    assert doctor.run() == 1
    assert "provider.regoin: Ray reads no such key" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "paper"}, "goes with --cluster"),
        ({"device_speed": 0.0}, "must be above 0"),
        ({"cluster": Path("nowhere.yaml")}, "nowhere.yaml: cannot be read"),
        ({"cluster": ROOT / "cluster.yaml", "price": ("x",)}, "TYPE=DOLLARS"),
    ],
)
def test_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        Doctor(**options).run()


def test_a_finding_as_text():
    assert problem("disk", "full", "free some space").to_lines() == [
        "problem      disk: full",
        "             -> free some space",
    ]
