"""The files in deploy/: shell scripts are run with stand-ins for what they call, manifests are validated.

Pod templates are checked by Kubernetes's own schema (kubernetes-validate has it), RayJob's own fields by
rayjob_schema.json beside this file.
"""

import contextlib
import copy
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SETUP, SLURM, RAYJOB = DEPLOY / "setup-node.sh", DEPLOY / "slurm.sbatch", DEPLOY / "kuberay-rayjob.yaml"
KUBERNETES_VERSION = "1.33"

pytestmark = pytest.mark.timeout(60)


def write_program(folder, name, text):
    """A program on the PATH."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(0o755)


@pytest.mark.parametrize("script", [SETUP, SLURM], ids=lambda path: path.name)
def test_scripts_have_no_fault_that_bash_or_shellcheck_knows(script):
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


# deploy/setup-node.sh

# A Python whose `-m venv DIR` makes an environment of which pip only notes how it was called.
PYTHON = """
echo "$*" >> "$HOME/python-calls"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; cp "$HOME/bin/venv-python" "$3/bin/python" ;;
  *version_info*) exit "${PYTHON_IS_OLD:-0}" ;;
  --version) echo "Python 3.9.1" ;;
esac
"""
VENV_PYTHON = """
case "$*" in
  "-m pip --version") ;;
  "-m pip install"*) echo "$PWD: $*" >> "$HOME/pip-calls"; exit "${PIP_FAILS:-0}" ;;
esac
"""


@pytest.fixture
def node(tmp_path):
    """A host with code and a token; its home is `tmp_path`."""
    write_program(tmp_path / "bin", "python3", PYTHON)
    write_program(tmp_path / "bin", "venv-python", VENV_PYTHON)
    (tmp_path / "code").mkdir()
    (tmp_path / "code/pyproject.toml").write_text("[project]\n")
    (tmp_path / "code/constraints.txt").write_text("ray==2.60.0\n")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("secret")
    (tmp_path / ".ray/auth_token").chmod(0o644)
    return tmp_path


def set_up(node, *packages, **variables):
    environment = {"HOME": str(node), "PATH": f"{node / 'bin'}:{os.environ['PATH']}", **variables}
    return subprocess.run(
        ["bash", SETUP, node / "code", *packages],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def pip_calls(node):
    path = node / "pip-calls"
    return path.read_text().splitlines() if path.exists() else []


def test_a_node_is_set_up_once(node):
    for _ in range(2):
        done = set_up(node, "boto3")
        assert done.returncode == 0, done.stderr
    assert pip_calls(node) == [f"{node}/code: -m pip install --quiet -c constraints.txt -e .[all] boto3"]
    assert (node / ".bashrc").read_text().splitlines() == [
        f"export PATH={node}/rcsweep-venv/bin:$PATH",
        "export RAY_AUTH_MODE=token",
    ]
    assert stat.S_IMODE((node / ".ray/auth_token").stat().st_mode) == 0o600


def test_a_change_of_the_constraints_or_of_the_packages_installs_again(node):
    set_up(node)
    (node / "code/constraints.txt").write_text("ray==2.60.1\n")
    set_up(node)
    set_up(node, "boto3")
    assert len(pip_calls(node)) == 3


def test_an_installation_that_failed_is_done_again(node):
    assert set_up(node, PIP_FAILS="1").returncode == 1
    assert not (node / ".bashrc").exists()
    assert set_up(node).returncode == 0
    assert len(pip_calls(node)) == 2


def test_what_bashrc_held_stays(node):
    (node / ".bashrc").write_text("alias ll='ls -l'\n")
    set_up(node)
    assert (node / ".bashrc").read_text().splitlines()[0] == "alias ll='ls -l'"


@pytest.mark.parametrize(
    ("remove", "variables", "message"),
    [
        (".ray/auth_token", {}, "auth_token is missing; make one with 'ray get-auth-token --generate'"),
        ("code/constraints.txt", {}, "has no pyproject.toml and constraints.txt"),
        (None, {"PYTHON_IS_OLD": "1"}, "python3 is Python 3.9.1; rcsweep needs 3.11"),
    ],
)
def test_a_node_that_cannot_be_set_up_says_why(remove, variables, message, node):
    if remove:
        (node / remove).unlink()
    done = set_up(node, **variables)
    assert done.returncode == 1
    assert message in done.stderr
    assert pip_calls(node) == []


# deploy/slurm.sbatch

# `ray start` blocks, `ray status` answers once the head has started.
RAY = """
echo "ray $*" >> "$CALLS"
case "$1" in
  start) [[ $* == *--head* ]] && touch "$CALLS.head"
         echo "$RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" >> "$CALLS.token"; exec sleep 1000 ;;
  status) [[ -e $CALLS.head ]] ;;
esac
"""
SRUN = """
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
# Answers TERM as rcsweep does: some time for the checkpoints, then 130.
RCSWEEP = """
echo "rcsweep $*" >> "$CALLS"
trap 'echo "rcsweep asked to end" >> "$CALLS"; sleep .3; exit 130' TERM
touch "$CALLS.running"
for ((i = 0; i < ${SWEEP_TENTHS:-0}; i++)); do sleep .1; done
exit "${SWEEP_CODE:-0}"
"""


@pytest.fixture
def start_job(tmp_path):
    """Starts the batch script as Slurm would; what it calls is in `calls()`."""
    calls = tmp_path / "calls"
    for name, text in (
        ("ray", RAY),
        ("srun", SRUN),
        ("rcsweep", RCSWEEP),
        ("scontrol", 'echo "scontrol $*" >> "$CALLS"\n'),
    ):
        write_program(tmp_path / "bin", name, text)
    started = []

    def start(*arguments, **variables):
        environment = {
            "PATH": f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "CALLS": str(calls),
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NUM_NODES": "3",
            "SLURM_CPUS_ON_NODE": "8",
            **variables,
        }
        environment = {name: value for name, value in environment.items() if value is not None}
        process = subprocess.Popen(
            ["bash", SLURM, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start, lambda: calls.read_text().splitlines() if calls.exists() else [], tmp_path
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def children_of(session):
    """Processes of a session that are still there."""
    done = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True, check=False
    )
    return [line for line in done.stdout.splitlines() if " Z" not in line]


def test_a_job_starts_head_and_workers_and_hands_on_what_rcsweep_says(start_job):
    start, calls, tmp_path = start_job
    job = start("run", "paper", "--storage", "/scratch/my sweeps", SWEEP_CODE="3", SWEEP_TENTHS="3")
    _, stderr = job.communicate(timeout=30)
    assert job.returncode == 3, stderr
    lines = calls()
    head = next(line for line in lines if line.startswith("ray start --head"))
    port = 20000 + 4711 % 10000
    address = re.search(r"--node-ip-address=(\S+)", head)[1] + f":{port}"
    assert f"--port={port} --num-cpus=8 --include-dashboard=false" in head
    worker = f"ray start --address={address} --block --num-cpus=8 --disable-usage-stats"
    assert worker in lines
    assert any(
        line.startswith("srun --nodes=2 --ntasks=2 --exclude=") and line.endswith(worker) for line in lines
    )
    assert f"rcsweep run paper --storage /scratch/my sweeps --address {address}" in lines
    assert not [line for line in lines if line.startswith("scontrol")], (
        "a failed cell is no reason to requeue"
    )
    # Every node asks for the same token, 32 random bytes in hexadecimal form.
    assert (tmp_path / "calls.token").read_text().splitlines() == ["token 64"] * 2
    deadline_seconds = time.monotonic() + 10
    while children_of(job.pid):
        assert time.monotonic() < deadline_seconds, "Ray's processes outlive the job"
        time.sleep(0.1)


def test_one_node_needs_no_srun(start_job):
    start, calls, _ = start_job
    assert start("run", "digits", SLURM_JOB_NUM_NODES="1").wait(30) == 0
    assert not [line for line in calls() if line.startswith("srun")]


def test_a_job_that_is_asked_to_end_goes_back_into_the_queue(start_job):
    start, calls, tmp_path = start_job
    job = start("run", "paper", SWEEP_TENTHS="500")
    deadline_seconds = time.monotonic() + 20
    while not (tmp_path / "calls.running").exists():
        assert time.monotonic() < deadline_seconds
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == 130
    assert calls()[-2:] == ["rcsweep asked to end", "scontrol requeue 4711"]


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ((), {}, "no command for rcsweep"),
        (("run", "digits"), {"SLURM_JOB_ID": None}, "this is no Slurm job"),
        (("run", "digits"), {"PATH": "/usr/bin:/bin"}, "rcsweep is not on the PATH"),
    ],
)
def test_a_job_that_cannot_start_says_why(arguments, variables, message, start_job):
    start, calls, _ = start_job
    _, stderr = (job := start(*arguments, **variables)).communicate(timeout=30)
    assert job.returncode == 1
    assert message in stderr
    assert calls() == []


# deploy/kuberay-rayjob.yaml


@pytest.fixture
def rayjob():
    return yaml.safe_load(RAYJOB.read_text())


def validate(manifest):
    """By RayJob's fields, and by Kubernetes's schema of the pods.

    Raises:
        jsonschema.ValidationError: a field is unknown, missing or of another type.
    """
    jsonschema.validate(manifest, json.loads((Path(__file__).parent / "rayjob_schema.json").read_text()))
    cluster = manifest["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}} | group["template"]
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)


def test_the_manifest_is_valid(rayjob):
    validate(rayjob)


HEAD_POD = ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "shutdownAfterJobFinish"), True),
        (("spec", "backoffLimit"), "3"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "tokens"),
        (("spec", "rayClusterSpec", "autoscalerOptions", "idleTimeoutMinutes"), 10),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"), 2),
        ((*HEAD_POD, "initContainer"), []),
        ((*HEAD_POD, "containers", 0, "env", 0, "val"), "x"),
        ((*HEAD_POD, "securityContext", "runAsUser"), "ray"),
        ((*HEAD_POD, "volumes", 0, "emptyDir", "size"), "5Gi"),
    ],
)
def test_a_planted_mistake_is_refused(path, value, rayjob):
    place = copied = copy.deepcopy(rayjob)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(copied)


def test_the_manifest_keeps_what_the_operator_demands_beyond_its_schema(rayjob):
    cluster = rayjob["spec"]["rayClusterSpec"]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert cluster["rayVersion"] == pins["ray"]
    assert cluster["authOptions"] == {"mode": "token"}, "Ray's ports take commands from whoever reaches them"
    assert rayjob["spec"]["shutdownAfterJobFinishes"], "ttlSecondsAfterFinished is refused without"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["spec"]["restartPolicy"] == "Never", "version 2 of the autoscaler demands it"
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] == workers["replicas"] == 0 < workers["maxReplicas"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert "--address auto" in rayjob["spec"]["entrypoint"]
    assert "s3://CHANGE-ME/" in rayjob["spec"]["entrypoint"]


def test_the_image_has_what_an_installation_needs():
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    assert {name for name in sources if not (ROOT / name).exists()} == set()
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= sources
    assert {"rc_core", "tune_experiments", "analysis"} <= sources


# deploy/aws


def test_policies_name_actions_that_aws_has_and_workers_get_the_bucket_alone():
    import botocore.session

    session = botocore.session.get_session()
    operations = {
        service: set(session.get_service_model(service).operation_names) for service in ("ec2", "iam", "s3")
    }
    # What a right is called where it is not the operation's name.
    operations["iam"].add("PassRole")
    operations["s3"] |= {"ListBucket"}
    actions = {}
    for name in ("head", "worker"):
        policy = json.loads((DEPLOY / "aws" / f"{name}-policy.json").read_text())
        assert policy["Version"] == "2012-10-17"
        actions[name] = {action for statement in policy["Statement"] for action in statement["Action"]}
        for action in actions[name]:
            service, operation = action.split(":")
            assert operation in operations[service], action
    assert {action.split(":")[0] for action in actions["worker"]} == {"s3"}
    assert actions["worker"] < actions["head"]
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags", "iam:PassRole"} <= actions["head"]


def test_every_file_that_the_manual_names_is_there():
    manual = ROOT / "docs/cluster.md"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", manual.read_text()) if "://" not in link]
    assert len(links) >= 6
    assert [link for link in links if not (manual.parent / link).exists()] == []
