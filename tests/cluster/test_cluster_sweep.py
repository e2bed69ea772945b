"""A sweep on a real cluster of four machines: cables cut, a node killed, one drained, others that join.

The machines are namespaces (hosts.py); `ray up` starts the cluster from the YAML that users get, by ssh. The
tests go through one cluster's life in the order in which they stand.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.hosts import lan, missing_means
from tests.cluster.ray_cluster import BUCKET, FETCH, RayCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

if (reason := missing_means()) is not None:
    pytest.skip(f"no cluster of hosts can be made here: {reason}", allow_module_level=True)

EXPERIMENT = "digits"
# So much work that the sweep outlasts all disturbances; `seconds` has both times.
GRID = "--randomization 0,1 --sparsity 0.5,0.8,0.9 --seeds 42,43,44"
NUM_CELLS = 24
RUN = f"rcsweep run digits {GRID} --checkpoint-seconds 1"
# That of a job; it is done before anything could be disturbed.
SUBMITTED = "rcsweep run smoke"
STEP_SECONDS = 300.0


def wait_until(condition, what, process=None, limit_seconds=STEP_SECONDS):
    """Poll; returns the seconds that it took."""
    start_seconds = time.monotonic()
    while not condition():
        assert process is None or process.poll() is None, f"the sweep ended before {what}"
        assert time.monotonic() - start_seconds < limit_seconds, f"not within {limit_seconds:.0f} s: {what}"
        time.sleep(0.3)
    return time.monotonic() - start_seconds


def machine_state():
    """What the hosts must leave as they found it."""
    token = Path.home() / ".ray" / "auth_token"
    return {
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "named namespaces": sorted(Path("/run/netns").iterdir()) if Path("/run/netns").exists() else [],
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "token": (token.stat().st_mtime, token.read_text()) if token.exists() else None,
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without slots, two workers with one each, and a run on one machine to compare with."""
    folder = tmp_path_factory.mktemp("cluster")
    with lan() as network:
        for name in ("head", "one", "two"):
            network.add(name)
        cluster = RayCluster(network, folder)
        alone = f"{SUBMITTED} --storage alone && {RUN} --storage alone"
        reference = network.desk.start(alone, folder / "reference.txt")
        cluster.up()
        assert reference.wait(STEP_SECONDS) == 0, cluster.printed("reference.txt")
        yield cluster
        for step, seconds in cluster.seconds.items():
            print(f"{step}: {seconds:.0f} s")


@pytest.fixture(scope="module")
def sweep(cluster):
    """The disturbed sweep: its exit code, and the host of each disturbance."""
    network, start_seconds = cluster.lan, time.monotonic()
    cluster.head.ask("rcsweep data prepare digits --out data", limit_seconds=STEP_SECONDS)
    process = cluster.start(f"{RUN} --data data --address auto --storage s3://{BUCKET}", "sweep.txt")

    def busy_host(*names):
        """One of these hosts, once it has a checkpoint of a pruning that is not done."""
        busy = set()

        def look():
            hosts = cluster.cells_under_way(EXPERIMENT)
            busy.update(set(names) & {host for cell, host in hosts.items() if cell.startswith("prune")})
            return busy

        wait_until(look, f"one of {', '.join(names)} is busy", process)
        return network.hosts[min(busy)]

    busy_host("two")
    one = busy_host("one")
    network.cut(one)
    cut_seconds = time.monotonic()
    joining_three = cluster.join(network.add("three"))
    wait_until(lambda: "one" not in cluster.nodes(), "the head misses the host that is cut off", process)
    cluster.seconds["notice of the cut link, at most"] = time.monotonic() - cut_seconds

    # Its cable is in again, only the head stays out of reach. What the trial was about to write it writes
    # now, beside its successor; then it waits for a driver that does not listen to it any more.
    wait_until(
        lambda: cluster.cells_moved_from(one, EXPERIMENT),
        "a cell of the host that is cut off is tried elsewhere",
        process,
    )
    before = cluster.writes_of(one)
    network.part(one, cluster.head)
    network.heal(one)

    assert joining_three.wait(STEP_SECONDS) == 0, cluster.printed("join-three.txt")
    joining_four = cluster.join(network.add("four"))
    nodes = cluster.nodes()
    drained = busy_host("two", "three")
    cluster.drain(nodes[drained.name])
    drain_seconds = time.monotonic()
    trial = "pgrep -f ^ray::ImplicitFunc"
    wait_until(lambda: drained.run(trial).returncode == 1, "the trial has left the drained host", process)
    cluster.seconds["the trial has left the drained host"] = time.monotonic() - drain_seconds
    drained.kill()  # as the cloud does, or Ray's autoscaler would start it anew, once it is idle

    assert joining_four.wait(STEP_SECONDS) == 0, cluster.printed("join-four.txt")
    killed = busy_host(*{"two", "three", "four"} - {drained.name})
    killed.ask("pkill -9 -x raylet")
    cluster.seconds["sweep until the last disturbance"] = time.monotonic() - start_seconds
    code = process.wait(STEP_SECONDS)
    cluster.seconds["sweep"] = time.monotonic() - start_seconds
    print(f"\nlate writes of the host that was cut off: {cluster.writes_of(one) - before}")
    network.join(one, cluster.head)
    return {"code": code, "cut off": one, "drained": drained, "killed": killed}


def test_nobody_is_let_in_without_the_token(cluster):
    url = "http://127.0.0.1:8265/api"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' {url}/jobs/"
    submit = (
        "curl -s -o /dev/null -w '%{http_code}' -X POST -H 'Content-Type: application/json' "
        f'-d \'{{"entrypoint": "touch /tmp/shadow"}}\' {url}/jobs/'
    )
    token = '-H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert cluster.head.ask(ask) == "401"
    assert cluster.head.ask(submit) == "401"
    assert cluster.head.ask(f"{ask} -H 'Authorization: Bearer {'0' * 64}'") == "403"
    assert cluster.head.ask(f"{ask} {token}") == "200"
    assert (
        cluster.head.ask("curl -s -o /dev/null -w '%{http_code}' 'http://127.0.0.1:8265/nodes?view=summary'")
        == "401"
    )
    assert cluster.head.run("test -e /tmp/shadow").returncode == 1
    worker = cluster.lan.hosts["one"]
    assert worker.run(f"curl -s --max-time 5 http://{cluster.head.address}:8265/").returncode == 7, "refused"
    status = f"ray status --address {cluster.head.address}:6379"
    assert worker.run(status).returncode == 0
    stranger = worker.run(f"rm -f /tmp/none; RAY_AUTH_TOKEN_PATH=/tmp/none RAY_AUTH_MODE=disabled {status}")
    assert stranger.returncode != 0
    assert (
        "Unauthenticated" in stranger.stderr + stranger.stdout or "token" in stranger.stderr + stranger.stdout
    )


def test_a_sweep_can_be_submitted_as_a_job(cluster, tmp_path):
    """From the desk, through the tunnel that users have, to the interface that asks for the token."""
    desk, start_seconds = cluster.lan.desk, time.monotonic()
    tunnel = desk.start("exec ray dashboard ~/cluster.yaml", tmp_path / "tunnel.txt")
    url = "http://127.0.0.1:8265"
    wait_until(lambda: desk.run(f"curl -s {url}").returncode == 0, "the tunnel is open", tunnel)
    command = f"{SUBMITTED} --address auto --storage s3://{BUCKET}"
    printed = desk.ask(f"ray job submit --address {url} -- {command}", limit_seconds=STEP_SECONDS)
    tunnel.terminate()
    assert "6 of 6 cells finished" in printed
    assert "succeeded" in printed
    tables = cluster.table(f"s3://{BUCKET}/smoke"), cluster.table("alone/smoke")
    assert len(tables[0]) == 6
    assert tables[0] == tables[1]
    cluster.seconds["smoke sweep as a job"] = time.monotonic() - start_seconds


def test_the_sweep_is_completed(cluster, sweep):
    assert sweep["code"] == 0, cluster.printed("sweep.txt")
    assert f"{NUM_CELLS} of {NUM_CELLS} cells finished" in cluster.printed("sweep.txt")


def test_the_table_is_that_of_one_machine_bit_for_bit(cluster, sweep):
    tables = cluster.table(f"s3://{BUCKET}/{EXPERIMENT}"), cluster.table(f"alone/{EXPERIMENT}")
    assert len(tables[0]) == NUM_CELLS
    assert tables[0] == tables[1]


def test_the_networks_and_curves_are_equal_too(cluster, sweep):
    for cell in {key.split("/")[1] for key in cluster.keys(f"{EXPERIMENT}/") if key.endswith("record.json")}:
        for file in ("final/state.safetensors", "history.json"):
            there = cluster.lan.desk.ask(f"{FETCH}/{EXPERIMENT}/{cell}/{file} | sha256sum")
            assert there == cluster.lan.desk.ask(f"sha256sum < alone/{EXPERIMENT}/{cell}/{file}"), cell


@pytest.mark.parametrize("disturbance", ["cut off", "drained", "killed"])
def test_disturbed_cells_were_tried_again_on_other_hosts(cluster, sweep, disturbance):
    assert cluster.cells_moved_from(sweep[disturbance], EXPERIMENT)


def test_a_drained_node_counts_as_no_failure(cluster, sweep):
    lines = cluster.printed("sweep.txt").splitlines()
    assert [line for line in lines if line.startswith("moved ") and "not counted as a failure" in line]
    assert [line for line in lines if line.startswith("again ") and "its process died; try 2 of 3" in line]


@pytest.mark.parametrize(
    "disturbance", ["drained", "killed"]
)  # of the first, a late writer may have the last word
def test_they_went_on_from_their_checkpoints(cluster, sweep, disturbance):
    moved = cluster.cells_moved_from(sweep[disturbance], EXPERIMENT)
    logs = [cluster.lan.desk.ask(f"{FETCH}/{EXPERIMENT}/{cell}/log.txt") for cell in moved]
    assert any("resumed at step" in log for log in logs)


def test_prunings_run_where_there_is_room_not_where_their_parent_was(cluster, sweep):
    keys = [key for key in cluster.keys(f"{EXPERIMENT}/") if key.endswith("record.json")]
    records = zip(keys, cluster.read(keys), strict=True)
    hosts = {key.split("/")[1]: record["provenance"]["host"] for key, record in records}
    parents = {cell: cell.replace("prune", "train").partition("-dns")[0] for cell in hosts if "prune" in cell}
    assert any(hosts[cell] != hosts[parent] for cell, parent in parents.items()), hosts
    assert "head" not in hosts.values()


def test_the_data_came_through_ray_alone(cluster, sweep):
    names = "'(' -name '*.tfrecord*' -o -path '*/.cache/rcsweep' ')'"
    search = f"find /root /tmp -path '*/.pyenv' -prune -o {names} -print 2>/dev/null; true"
    found = cluster.head.ask(search).split()
    assert "/root/.cache/rcsweep" in found
    assert "/root/data" in {str(Path(path).parent) for path in found}
    for name in {"one", "two", "three", "four"} - {sweep["drained"].name}:
        assert cluster.lan.hosts[name].ask(search) == ""


def test_a_local_folder_is_refused_on_several_hosts(cluster, sweep):
    done = cluster.head.run(
        "rcsweep run smoke --address auto --storage /root/results", limit_seconds=STEP_SECONDS
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "does not see what the driver writes to /root/results/smoke" in done.stderr
    assert "--storage must be s3://" in done.stderr


def test_a_host_with_other_code_is_refused(cluster, sweep):
    living = min({"two", "three", "four"} - {sweep["drained"].name, sweep["killed"].name})
    host = cluster.lan.hosts[living]
    host.ask("echo '# changed' >> rcsweep/rc_core/labels.py")
    command = f"rcsweep run smoke --address auto --storage s3://{BUCKET} --name refused"
    done = cluster.head.run(command, limit_seconds=STEP_SECONDS)
    assert done.returncode == 2, done.stdout + done.stderr
    refusal = f"node {living} ({host.address}) differs from the driver: rcsweep's code is "
    assert refusal in done.stderr
    assert not [key for key in cluster.keys("refused/") if key.endswith("record.json")]


def test_ray_down_ends_it(cluster, sweep):
    cluster.down()
    wait_until(lambda: cluster.head.run("pgrep -x raylet").returncode == 1, "the head's Ray has ended")


def test_hosts_leave_nothing_behind_even_when_their_maker_is_killed():
    before = machine_state()
    script = (
        "import time; from tests.cluster.hosts import lan\n"
        "with lan() as network:\n"
        "    host = network.add('one')\n"
        "    print(network.desk.pid, *network.desk.processes(), *host.processes(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    maker = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in maker.stdout.readline().split()]
    maker.send_signal(signal.SIGKILL)
    maker.communicate()
    assert len(pids) >= 4
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all its processes ended", None, 10
    )
    assert machine_state() == before
