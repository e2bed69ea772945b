"""One sweep on an autoscaling cluster of fake nodes, watched from an empty cluster to an empty one.

Run as a script this has to be the first process of its own PID namespace (`run_sweep` sees to that): whatever
Ray starts ends with it, and no Ray process of anybody else is seen, let alone stopped. The nodes are real
raylets on this machine, and the autoscaler is Ray's own.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_LIMIT_SECONDS = 60
IDLE_TIMEOUT_SECONDS = 4
POLL_SECONDS = 0.25


def run_sweep(arguments, *, cpus_per_worker, max_workers, folder, limit_seconds):
    """What happened: `exit_code` (None = too late), `output` and `seen`, observations in order of time.

    An observation has the `seconds` since the sweep's command, whether it is `running`, the number of
    `workers` alive, and how many trials `asked` for a slot and have none.

    Args:
        arguments: of `rcsweep`, without `--address`.
        cpus_per_worker: of each node that the autoscaler may start.
        max_workers: most of them.
        folder: for the report.
        limit_seconds: from the sweep's command to its end, and again until the workers are gone.
    """
    report = folder / "report.json"
    settings = {
        "arguments": list(arguments),
        "cpus_per_worker": cpus_per_worker,
        "max_workers": max_workers,
        "limit_seconds": limit_seconds,
        "report": str(report),
    }
    log = folder / "cluster.txt"
    with log.open("wb") as file:  # no pipe: what Ray leaves behind for a moment would keep it open
        process = subprocess.Popen(
            [*namespace(), sys.executable, __file__, json.dumps(settings)], stdout=file, stderr=file
        )
        try:
            process.wait(2 * limit_seconds + START_LIMIT_SECONDS)
        finally:
            process.kill()
            process.wait()
    assert report.exists(), log.read_text()
    return json.loads(report.read_text())


def namespace():
    """The command before a command that is to be the first process of its own PID namespace."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        *as_root,
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def cluster_config(address, cpus_per_worker, max_workers):
    """What `ray start --autoscaling-config` needs of a cluster's YAML."""
    from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE

    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "fake",
        "max_workers": max_workers,
        "upscaling_speed": 10.0,
        "idle_timeout_minutes": IDLE_TIMEOUT_SECONDS / 60,
        "provider": {
            "type": "external",  # Ray's package lacks the defaults of the type fake_multinode
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "available_node_types": {
            FAKE_HEAD_NODE_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": cpus_per_worker, "object_store_memory": 150 * 2**20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": max_workers,
            },
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        **{f"{name}_commands": [] for name in commands},
    }


def start_head(folder, config, port):
    from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

    path = folder / "cluster.json"
    path.write_text(json.dumps(config))
    ray = Path(sys.executable).with_name("ray")
    command = [ray, "start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=0"]
    command += [f"--autoscaling-config={path}", f"--temp-dir={folder}", "--include-dashboard=false"]
    command += ["--disable-usage-stats", f"--object-store-memory={150 * 2**20}"]
    fake = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",  # what `ray up` chooses
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    subprocess.run(command, check=True, env={**os.environ, **fake})


def observe(address):
    """Workers alive, and placement groups that wait."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address)
    nodes = status.active_nodes + status.idle_nodes
    return {
        "workers": sum(node.ray_node_type_name == "worker" for node in nodes),
        "asked": sum(
            bundles.count
            for demand in status.resource_demands.placement_group_demand
            for bundles in demand.bundles_by_count
        ),
    }


def watch(settings, folder):
    port = free_port()
    address = f"127.0.0.1:{port}"
    start_head(folder, cluster_config(address, settings["cpus_per_worker"], settings["max_workers"]), port)
    output, seen = folder / "output.txt", []
    with output.open("wb") as file:
        sweep = subprocess.Popen(
            [sys.executable, "-m", "tune_experiments", *settings["arguments"], "--address", address],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    began = time.monotonic()
    ended = None
    while True:
        seconds = time.monotonic() - began
        if ended is None and sweep.poll() is not None:
            ended = seconds
        seen.append({"seconds": round(seconds, 2), "running": ended is None, **observe(address)})
        if ended is not None and not (seen[-1]["workers"] or seen[-1]["asked"]):
            break
        if seconds - (ended or 0) > settings["limit_seconds"]:
            break
        time.sleep(POLL_SECONDS)
    exit_code = None if ended is None else sweep.returncode  # the namespace's end is the sweep's, too
    return {"exit_code": exit_code, "output": output.read_text(errors="replace"), "seen": seen}


def main():
    settings = json.loads(sys.argv[1])
    # One token for all of it, in the environment only; short paths, for Ray puts sockets below them.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    try:
        report = watch(settings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Path(settings["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
