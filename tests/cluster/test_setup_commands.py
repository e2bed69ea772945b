"""The setup commands of both YAML files, run by ssh on a host that has only Python, from what they ship.

No index can be reached from a host, so pip finds the dependencies where these tests have theirs; versions
and constraints are resolved as ever, and rcsweep itself is built and installed there.
"""

from __future__ import annotations

import shlex
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.cluster.hosts import KEY, lan, missing_means

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

if (reason := missing_means()) is not None:
    pytest.skip(f"no hosts can be made here: {reason}", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
# 0 turns isolation off: pip takes the value for whether to isolate.
BASHRC = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$HOME/packages PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0
"""
# All but rcsweep.
PACKAGES = f"mkdir packages && ln -s {sysconfig.get_path('purelib')}/* packages && rm packages/*rcsweep*"


@pytest.fixture(scope="module")
def network():
    with lan() as network:
        network.desk.ask("mkdir .ray && echo secret > .ray/auth_token")
        yield network


@pytest.mark.parametrize("file", ["cluster-local.yaml", "cluster.yaml"])
def test_a_bare_host_becomes_a_node(network, file):
    config = yaml.safe_load((ROOT / file).read_text())
    host = network.add(Path(file).stem)
    host.ask(f"echo {shlex.quote(BASHRC)} > .bashrc; {PACKAGES}")
    ssh = f"ssh -q -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    for target, source in config["file_mounts"].items():
        path = source if source.startswith("~") else f"{ROOT}/{source}"
        path += "/" if Path(path).is_dir() else ""
        folder = shlex.quote(str(Path(target.replace("~", "/root")).parent))
        network.desk.ask(f"{ssh} root@{host.address} mkdir -p {folder}")
        network.desk.ask(f"rsync -a -e '{ssh}' {path} root@{host.address}:{target}")

    def set_up():
        commands = [
            *config["setup_commands"],
            *config.get("head_setup_commands", []),
            *config.get("worker_setup_commands", []),
        ]
        for command in commands:
            mine = command.replace("PYTHON=python3.12", f"PYTHON={PYTHON}")
            network.desk.ask(f"{ssh} root@{host.address} {shlex.quote(mine)}", limit_seconds=120)

    assert host.run("command -v rcsweep").returncode == 1
    set_up()
    bashrc = host.ask("cat .bashrc")
    assert host.ask("command -v rcsweep").strip() == "/root/rcsweep-venv/bin/rcsweep"
    assert host.ask("python -c 'import rc_core; print(rc_core.__file__)'").startswith(
        "/root/rcsweep/rc_core/"
    )
    assert "smoke" in host.ask("rcsweep plan smoke")
    assert host.ask("echo $RAY_AUTH_MODE").strip() == "token"
    assert host.ask("stat -c %a .ray/auth_token").strip() == "600"
    set_up()
    assert host.ask("cat .bashrc") == bashrc
