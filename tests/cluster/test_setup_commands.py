"""The setup commands of both YAML files, run by ssh on a host that has only Python, from what they ship.

No index can be reached from a host, so pip finds the dependencies where these tests have theirs; versions
and constraints are resolved as ever, and rcsweep itself is built and installed there.
"""

from __future__ import annotations

import shlex
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
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
FILES = ("cluster-local.yaml", "cluster.yaml")


@pytest.fixture(scope="module")
def nodes():
    """A host for each of the files, set up by it."""
    with lan() as network:
        network.desk.ask("mkdir .ray && echo secret > .ray/auth_token")
        bare = {file: BareHost(network, file) for file in FILES}
        set_up_all(bare.values())
        yield bare


def set_up_all(hosts):
    """All at the same time."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(BareHost.set_up, hosts))


class BareHost:
    """A host that has only Python, and what a YAML file does to it."""

    def __init__(self, network, file):
        self._config = yaml.safe_load((ROOT / file).read_text())
        self._desk, self._host = network.desk, network.add(Path(file).stem)
        self.ask, self.run = self._host.ask, self._host.run
        self.ask(f"echo {shlex.quote(BASHRC)} > .bashrc; {PACKAGES}")
        assert self.run("command -v rcsweep").returncode == 1

    def set_up(self):
        """Ship the files and run the commands, from the desk by ssh."""
        ssh = f"ssh -q -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        login = f"root@{self._host.address}"
        for target, source in self._config["file_mounts"].items():
            path = source if source.startswith("~") else f"{ROOT}/{source}"
            path += "/" if Path(path).is_dir() else ""
            folder = shlex.quote(str(Path(target.replace("~", "/root")).parent))
            self._desk.ask(f"{ssh} {login} mkdir -p {folder}")
            self._desk.ask(f"rsync -a -e '{ssh}' {path} {login}:{target}")
        commands = [
            *self._config["setup_commands"],
            *self._config.get("head_setup_commands", []),
            *self._config.get("worker_setup_commands", []),
        ]
        for command in commands:
            mine = command.replace("PYTHON=python3.12", f"PYTHON={PYTHON}")
            self._desk.ask(f"{ssh} {login} {shlex.quote(mine)}", limit_seconds=120)


@pytest.mark.parametrize("file", FILES)
def test_a_bare_host_becomes_a_node(nodes, file):
    host = nodes[file]
    assert host.ask("command -v rcsweep").strip() == "/root/rcsweep-venv/bin/rcsweep"
    assert host.ask("python -c 'import rc_core; print(rc_core.__file__)'").startswith(
        "/root/rcsweep/rc_core/"
    )
    assert "smoke" in host.ask("rcsweep plan smoke")
    assert host.ask("echo $RAY_AUTH_MODE").strip() == "token"
    assert host.ask("stat -c %a .ray/auth_token").strip() == "600"


def test_a_second_set_up_changes_nothing(nodes):
    before = [host.ask("cat .bashrc") for host in nodes.values()]
    set_up_all(nodes.values())
    assert [host.ask("cat .bashrc") for host in nodes.values()] == before
