"""Trials on the GPUs of one machine: each sees its own, as many share one as fit, none is left without.

Ray is told of two GPUs that are not there; which of them a trial may use it is told as with real ones.
"""

import json
import os
import subprocess
import sys
from itertools import chain

import pytest

VISIBLE = ["3", "5"]
NUM_CPUS = 4
NUM_TRIALS = 14

SWEEP = """
import json, os, sys, time
from functools import partial
from pathlib import Path

os.cpu_count = lambda: {num_cpus}
from tune_experiments import ray_environment

ray_environment.prepare(None)
import ray

ray.init = partial(ray.init, num_gpus=2)
from rc_core.cells import Grid
from rc_core.recipes import preset
from rc_core.storage import open_storage
from tune_experiments.plan import make_plan
from tune_experiments.settings import SweepSettings
from tune_experiments.sweep import run_sweep

FIGURES = {{"train_accuracy": 1.0, "test_accuracy": 1.0, "sparsity": 0.0, "wall_seconds": 0.5}}


def trial(config, *, context, train, test):
    import ray
    from ray import tune

    begun = time.time()
    (cell,) = config["cells"]
    here = Path(context.experiment)
    here.joinpath(f"begun-{{cell['seed']}}").touch()
    # Stay until every slot has had a trial, however long a process takes to start.
    while len(list(here.glob("begun-*"))) < {num_slots} and time.time() < begun + 60:
        time.sleep(0.02)
    time.sleep(0.2)  # long enough for too many at a time to be seen
    seen = {{"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "device": context.device}}
    seen |= {{"begun": begun, "ended": time.time()}}
    seen |= {{"environment": ray.get_runtime_context().get_runtime_env_string()}}
    here.joinpath(f"seen-{{cell['seed']}}.json").write_text(json.dumps(seen))
    cell_id = f"train-p0.00-s{{cell['seed']}}"
    tune.report({{"outcomes": {{cell_id: FIGURES}}}})


root, gpus = sys.argv[1:]
smoke = preset("smoke")
grid = Grid(randomizations=(0.0,), sparsities=(), seeds=tuple(range({num_trials})))
experiment = open_storage(root)
plan = make_plan(smoke, grid.cells(), experiment)
settings = SweepSettings(stack=1, gpus_per_trial=float(gpus))
outcome = run_sweep(smoke.recipe, grid, plan, experiment, settings, trial)
print("SLOTS", outcome.num_slots, "DONE", outcome.num_done)
"""


@pytest.mark.parametrize(("gpus_per_trial", "num_sharing"), [(1.0, 1), (0.4, 2)])
def test_each_trial_sees_one_gpu_and_as_many_share_it_as_fit(tmp_path, gpus_per_trial, num_sharing):
    num_slots = len(VISIBLE) * num_sharing
    # Tune hands credentials on to its trials, as an environment of their own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SWEEP.format(num_cpus=NUM_CPUS, num_trials=NUM_TRIALS, num_slots=num_slots),
            str(tmp_path),
            str(gpus_per_trial),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"CUDA_VISIBLE_DEVICES": ",".join(VISIBLE)},
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SLOTS {num_slots} DONE {NUM_TRIALS}" in done.stdout
    seen = [json.loads(path.read_text()) for path in tmp_path.glob("seen-*.json")]
    assert len(seen) == NUM_TRIALS
    assert {trial["device"] for trial in seen} == {"cuda"}
    # With one of its own, Ray would give it none of the idle processes, which have imported torch already.
    assert {trial["environment"] for trial in seen} == {"{}"}
    assert {trial["visible"] for trial in seen} == set(VISIBLE)
    most = {device: most_at_a_time([t for t in seen if t["visible"] == device]) for device in VISIBLE}
    assert most == dict.fromkeys(VISIBLE, num_sharing)


def most_at_a_time(trials):
    """How many of the trials ran together at most."""
    events = sorted(chain.from_iterable([(t["begun"], 1), (t["ended"], -1)] for t in trials))
    running = most = 0
    for _, change in events:
        running += change
        most = max(most, running)
    return most
