"""A Ray cluster on hosts of one's own, started from the desk with `ray up` and the YAML that users get."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from chaos.comparison import TIME_COLUMNS
from tests.cluster.hosts import DESK_ADDRESS, KEY, Host, Lan

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_FILE = ROOT / "cluster-local.yaml"

S3_PORT = 5000
BUCKET = "sweeps"
BUCKET_URL = f"http://{DESK_ADDRESS}:{S3_PORT}/{BUCKET}"

# Before the name of an object. The server asks for a signature, but does not check it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=test-key/20260101/us-east-1/s3/aws4_request"
CURL = f"curl -sf --fail-early -H 'Authorization: {SIGNATURE}'"
FETCH = f"{CURL} {BUCKET_URL}"
_AFTER_EACH = "\n-- end of file --\n"

# On Ray's head, which may not answer at once; far cheaper than a process that joins the cluster to ask.
NODES = (
    "curl -sf --retry 10 --retry-delay 1 --retry-connrefused "
    '-H "Authorization: Bearer $(cat ~/.ray/auth_token)" http://127.0.0.1:8265/api/v0/nodes'
)

# Of the head: a lost host is noticed after some 12 s instead of 20 (or 62, Ray's default).
HEALTH_CHECK = (
    "RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 RAY_health_check_failure_threshold=3"
)
# A cell waits out the time that its host is cut off.
PATIENCE_SECONDS = 120

SETUP = (
    "chmod 600 ~/.ray/auth_token",
    "echo export RAY_AUTH_MODE=token >> ~/.bashrc",
    *(
        f"echo export {name}={value} >> ~/.bashrc"
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://{DESK_ADDRESS}:{S3_PORT}",
            "RCSWEEP_STORAGE_PATIENCE_SECONDS": str(PATIENCE_SECONDS),
        }.items()
    ),
)


class RayCluster:
    """The cluster, from before `ray up` to after `ray down`.

    Attributes:
        lan: the hosts; the first added is the head.
        seconds: how long each step took.

    Args:
        lan: a desk with hosts.
        folder: for what the commands print.
    """

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.lan, self._folder = lan, folder
        self.seconds: dict[str, float] = {}
        self.head, *self._workers = lan.hosts.values()
        self._config = self._write_config()
        self._ship_code()
        for command in SETUP[2:]:
            lan.desk.ask(command)
        lan.desk.ask(
            "echo export RAY_AUTH_MODE=token >> ~/.bashrc; mkdir .ray; ray get-auth-token --generate"
        )
        self._s3 = self._start_s3()

    def _write_config(self) -> dict[str, Any]:
        """The users' YAML with these hosts in it, nothing to install, and one slot a worker."""
        config = yaml.safe_load(CLUSTER_FILE.read_text())
        config["provider"] = {
            "type": "local",
            "head_ip": self.head.address,
            "worker_ips": [host.address for host in self._workers],
        }
        config["auth"] = {"ssh_user": "root", "ssh_private_key": KEY}
        config["setup_commands"] = list(SETUP)
        room = "--object-store-memory=100000000"
        for kind, num_cpus in (("head", 0), ("worker", 1)):
            name = f"{kind}_start_ray_commands"
            config[name] = [
                command.replace("ray start", f"{HEALTH_CHECK} ray start --num-cpus={num_cpus} {room}")
                for command in config[name]
            ]
        self.lan.desk.ask(f"echo {shlex.quote(yaml.safe_dump(config))} > cluster.yaml")
        return config

    def _ship_code(self) -> None:
        """To the desk, as a user's clone; `ray up` takes it from there."""
        sources = [source for source in self._config["file_mounts"].values() if not source.startswith("~")]
        paths = " ".join(shlex.quote(f"{ROOT}/./{source}") for source in sources)
        self.lan.desk.ask(f"mkdir rcsweep && rsync -aR --exclude __pycache__ {paths} rcsweep/")

    def _start_s3(self) -> subprocess.Popen[bytes]:
        server = f"exec python -m moto.server -H {DESK_ADDRESS} -p {S3_PORT}"
        process = self.lan.desk.start(server, self._folder / "s3.txt")
        deadline_seconds = time.monotonic() + 60
        while self.lan.desk.run(f"curl -sf -X PUT {BUCKET_URL}").returncode:
            assert process.poll() is None, (self._folder / "s3.txt").read_text()
            assert time.monotonic() < deadline_seconds
            time.sleep(0.5)
        return process

    def up(self) -> None:
        """`ray up`, and wait for the workers."""
        start_seconds = time.monotonic()
        self.lan.desk.ask("cd rcsweep && ray up -y --no-config-cache ~/cluster.yaml", limit_seconds=120)
        self.wait_for_nodes(1 + len(self._workers))
        self.seconds["ray up"] = time.monotonic() - start_seconds

    def down(self) -> None:
        """`ray down`."""
        start_seconds = time.monotonic()
        self.lan.desk.ask("ray down -y ~/cluster.yaml", limit_seconds=90)
        self.seconds["ray down"] = time.monotonic() - start_seconds

    def nodes(self) -> dict[str, str]:
        """Ids of the nodes that Ray's head takes for alive, by host name."""
        found = json.loads(self.head.ask(NODES))["data"]["result"]["result"]
        ids = {node["node_ip"]: node["node_id"] for node in found if node["state"] == "ALIVE"}
        hosts = self.lan.hosts.values()
        return {host.name: ids[host.address] for host in hosts if host.address in ids}

    def wait_for_nodes(self, num_nodes: int, limit_seconds: float = 150.0) -> None:
        """Wait until so many nodes are there."""
        deadline_seconds = time.monotonic() + limit_seconds
        while len(found := self.nodes()) < num_nodes:
            assert time.monotonic() < deadline_seconds, f"{sorted(found)}\n{self.monitor_log()}"
            time.sleep(0.5)

    def monitor_log(self) -> str:
        """What Ray's autoscaler said."""
        return self.head.run("tail -n 50 /tmp/ray/session_latest/logs/monitor.*").stdout

    def join(self, host: Host) -> subprocess.Popen[bytes]:
        """Begin to make a new host a worker, by hand: the autoscaler's provider `local` knows no new ones."""
        ssh = f"ssh -q -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        copy = f"rsync -aR -e '{ssh}' rcsweep .ray/auth_token root@{host.address}:"
        commands = [*SETUP, *self._config["worker_start_ray_commands"]]
        lines = "\n".join([f"export RAY_HEAD_IP={self.head.address}", *commands])
        # `ray start` reads the variables that the setup has put into .bashrc.
        lines = lines.replace("\nray stop", "\n. ~/.bashrc\nray stop")
        start = f"{ssh} root@{host.address} bash -s <<'LINES'\n. ~/.bashrc\n{lines}\nLINES"
        return self.lan.desk.start(f"{copy} && {start}", self._folder / f"join-{host.name}.txt")

    def drain(self, node_id: str) -> None:
        """Tell Ray that a node will be taken away, as whoever reads a cloud's spot notices does."""
        self.head.ask(
            f"ray drain-node --address {self.head.address}:6379 --node-id {node_id} "
            "--reason DRAIN_NODE_REASON_PREEMPTION --reason-message spot --deadline-remaining-seconds 120"
        )

    def start(self, command: str, output: str) -> subprocess.Popen[bytes]:
        """Begin a command on the head as users do, `ray exec`; what it prints goes to a file."""
        line = f"ray exec ~/cluster.yaml {shlex.quote(command)}"
        return self.lan.desk.start(line, self._folder / output)

    def printed(self, output: str) -> str:
        """What a started command printed so far."""
        return (self._folder / output).read_text(errors="replace")

    def keys(self, prefix: str) -> list[str]:
        """Names in the bucket that begin so."""
        listing = self.lan.desk.ask(f"curl -sf '{BUCKET_URL}?list-type=2&prefix={prefix}'")
        return re.findall(r"<Key>([^<]+)</Key>", listing)

    def read(self, keys: Sequence[str]) -> list[Any]:
        """JSON files in the bucket, all by one command."""
        if not keys:
            return []
        urls = " ".join(f"{BUCKET_URL}/{key}" for key in keys)
        files = self.lan.desk.ask(f"{CURL} -w {shlex.quote(_AFTER_EACH)} {urls}")
        return [json.loads(file) for file in files.split(_AFTER_EACH)[:-1]]

    def table(self, experiment: str) -> list[dict[str, str]]:
        """What `rcsweep export` writes of an experiment, run on the desk; without times and rates."""
        exported = self.lan.desk.ask(f"rcsweep export {experiment} --out table.csv >&2 && cat table.csv")
        rows = csv.DictReader(exported.splitlines())
        return [{name: row[name] for name in row.keys() - TIME_COLUMNS} for row in rows]

    def cells_under_way(self, experiment: str) -> dict[str, str]:
        """Cells that have a checkpoint and no record, and the host of each one's last attempt."""
        files: dict[str, list[str]] = {}
        for key in self.keys(f"{experiment}/"):
            cell, _, file = key.removeprefix(f"{experiment}/").partition("/")
            files.setdefault(cell, []).append(file)
        cells = [
            cell
            for cell, names in files.items()
            if "record.json" not in names and any(name.startswith("checkpoint-") for name in names)
        ]
        return {cell: tried[-1] for cell, tried in self._hosts_of(experiment, cells).items()}

    def cells_moved_from(self, host: Host, experiment: str) -> list[str]:
        """Cells that were tried on a host and later on another."""
        keys = [key for key in self.keys(f"{experiment}/") if key.endswith("/attempts.json")]
        hosts = self._hosts_of(experiment, [key.split("/")[1] for key in keys])
        return [cell for cell, tried in hosts.items() if host.name in tried[:-1] and tried[-1] != host.name]

    def _hosts_of(self, experiment: str, cells: Sequence[str]) -> dict[str, list[str]]:
        """The host of each attempt at each of these cells."""
        files = self.read([f"{experiment}/{cell}/attempts.json" for cell in cells])
        return {
            cell: [attempt["host"] for attempt in file["attempts"]]
            for cell, file in zip(cells, files, strict=True)
        }

    def writes_of(self, host: Host) -> int:
        """How often a host has written to the bucket so far."""
        log = (self._folder / "s3.txt").read_text(errors="replace")
        return len(re.findall(rf"^{re.escape(host.address)} .*\"(?:PUT|POST) ", log, re.MULTILINE))
