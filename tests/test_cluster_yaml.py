"""cluster.yaml against Ray's own validator, and against what the file promises; nothing is asked of AWS.

The validator misses unknown keys below `provider` and `node_config` and missing sources of file_mounts; these
are looked at here.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ray", reason="cluster.yaml is for Ray")
jsonschema = pytest.importorskip("jsonschema")

from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CLUSTER_FILE = ROOT / "cluster.yaml"

PROVIDER_KEYS = {"type", "region", "availability_zone", "cache_stopped_nodes", "use_internal_ips"}
NODE_CONFIG_KEYS = {
    "InstanceType",
    "ImageId",
    "SecurityGroupIds",
    "IamInstanceProfile",
    "MetadataOptions",
    "BlockDeviceMappings",
    "InstanceMarketOptions",
}


@pytest.fixture
def written() -> dict[str, Any]:
    """The file as it is written."""
    return yaml.safe_load(CLUSTER_FILE.read_text())


@pytest.fixture
def prepared(written: dict[str, Any]) -> dict[str, Any]:
    """The file as `ray up` sees it, defaults filled in."""
    config = prepare_config(copy.deepcopy(written))
    validate_config(config)
    return config


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


def test_ray_accepts_the_file(prepared: dict[str, Any]) -> None:
    assert prepared["cluster_name"] == "rcsweep"
    assert prepared["provider"]["type"] == "aws"


def test_ray_refuses_an_unknown_key(written: dict[str, Any]) -> None:
    written["idle_timeout_minuets"] = 10
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuets"):
        validate_config(prepare_config(written))


def test_ray_refuses_an_unknown_key_of_a_node_type(written: dict[str, Any]) -> None:
    written["available_node_types"]["gpu_spot"]["spot"] = True
    with pytest.raises(jsonschema.ValidationError, match="spot"):
        validate_config(prepare_config(written))


def test_ray_refuses_a_missing_provider(written: dict[str, Any]) -> None:
    del written["provider"]
    with pytest.raises(KeyError, match="provider"):
        prepare_config(written)


def test_ray_refuses_a_head_type_that_does_not_exist(written: dict[str, Any]) -> None:
    written["head_node_type"] = "leader"
    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(prepare_config(written))


def test_no_key_is_misspelt_where_ray_does_not_look(written: dict[str, Any]) -> None:
    assert set(written["provider"]) <= PROVIDER_KEYS
    for name, node in written["available_node_types"].items():
        assert set(node["node_config"]) <= NODE_CONFIG_KEYS, name


def test_head_takes_no_trials(prepared: dict[str, Any]) -> None:
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
    for name, node in prepared["available_node_types"].items():
        config = node["node_config"]
        assert config["MetadataOptions"]["HttpTokens"] == "required", name
        assert config["IamInstanceProfile"]["Name"], name
        # Ray makes a group with port 22 open to the world as soon as one node type has none of its own.
        assert config["SecurityGroupIds"], name
        assert all(mapping["Ebs"]["Encrypted"] for mapping in config["BlockDeviceMappings"]), name


def test_workers_do_not_have_the_rights_of_the_head(prepared: dict[str, Any]) -> None:
    head = prepared["available_node_types"][prepared["head_node_type"]]
    for name, node in worker_types(prepared).items():
        assert node["node_config"]["IamInstanceProfile"] != head["node_config"]["IamInstanceProfile"], name


def test_nothing_is_open_to_the_world(prepared: dict[str, Any]) -> None:
    assert "security_group" not in prepared["provider"], "its IpPermissions add to Ray's open port 22"
    assert not [text for text in strings_in(prepared) if "0.0.0.0" in text or "::/0" in text]
    assert "--dashboard-host=127.0.0.1" in prepared["head_start_ray_commands"][-1]


def test_every_node_has_the_token_and_asks_for_it(prepared: dict[str, Any]) -> None:
    assert prepared["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (prepared["head_setup_commands"], prepared["worker_setup_commands"]):
        assert "chmod 600 ~/.ray/auth_token" in commands
        assert any("export RAY_AUTH_MODE=token" in command and ".bashrc" in command for command in commands)


def test_shipped_files_exist_and_suffice_for_the_installation(prepared: dict[str, Any]) -> None:
    shipped = {
        source for target, source in prepared["file_mounts"].items() if target.startswith("~/rcsweep/")
    }
    assert len(shipped) == len(prepared["file_mounts"]) - 1, "all but the token go to ~/rcsweep"
    missing = sorted(source for source in shipped if not (ROOT / source).exists())
    assert not missing
    assert {"rc_core", "tune_experiments", "analysis", "pyproject.toml", "constraints.txt"} <= shipped
    for commands in (prepared["head_setup_commands"], prepared["worker_setup_commands"]):
        assert any("pip install" in command and "-c constraints.txt" in command for command in commands)


def test_what_the_user_must_change_is_marked_and_nobody_is_named(written: dict[str, Any]) -> None:
    text = CLUSTER_FILE.read_text()
    header = text[: text.index("cluster_name:")]
    assert "CHANGE ME" in header
    for key in ("ImageId", "SecurityGroupIds", "IamInstanceProfile", "max_workers", "region"):
        assert key in header, f"{key} is to be changed and not in the list at the top"
    for node in written["available_node_types"].values():
        assert node["node_config"]["ImageId"] == "ami-CHANGE-ME"
        assert node["node_config"]["SecurityGroupIds"] == ["sg-CHANGE-ME"]
    assert not re.findall(r"\b\d{12}\b|\b(?:ami|sg|subnet|vpc)-[0-9a-f]{8,}\b", text)
