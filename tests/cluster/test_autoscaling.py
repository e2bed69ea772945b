"""Cells that wait for a slot bring workers: as many as they need and may have. Then the workers go."""

import importlib.util
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

LIMIT_SECONDS = 90
GRACE_SECONDS = 15

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


def load_cluster():
    """The neighbouring file: tests are imported without packages."""
    path = Path(__file__).with_name("autoscaling_cluster.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cluster = load_cluster()


@pytest.fixture
def sweep(tmp_path):
    """Runs a grid of the smoke recipe on a cluster without workers."""
    probe = subprocess.run([*cluster.namespace(), "true"], capture_output=True, text=True)
    assert probe.returncode == 0, (
        f"no PID namespace of one's own, which root or user namespaces give: {probe.stderr}"
    )

    def run(*grid, **settings):
        arguments = [
            "run",
            "smoke",
            "--seeds",
            "42",
            *grid,
            "--storage",
            str(tmp_path / "sweeps"),
        ]
        return cluster.run_sweep(arguments, folder=tmp_path, limit_seconds=LIMIT_SECONDS, **settings)

    return run


def most(seen, name):
    return max(observation[name] for observation in seen)


def most_asked_before_workers(seen):
    """Trials that want a slot of the empty cluster; Tune asks for them one by one, within a second."""
    return most(list(takewhile(lambda observation: not observation["workers"], seen)), "asked")


def assert_all_done_and_gone(happened, num_cells):
    """The sweep is complete; with it ended what was asked for, and after the idle timeout the last worker."""
    assert f"{num_cells} cells in " in happened["output"]
    after = [observation for observation in happened["seen"] if not observation["running"]]
    assert {observation["asked"] for observation in after} == {0}
    assert after[-1]["workers"] == 0
    assert after[-1]["seconds"] - after[0]["seconds"] < cluster.IDLE_TIMEOUT_SECONDS + GRACE_SECONDS


def test_two_cells_bring_two_of_four_workers(sweep):
    # Without --slots both would share one stack: an empty cluster counts as one slot.
    happened = sweep(
        *("--randomization", "0,1", "--sparsity", "", "--stack", "auto", "--slots", "2"),
        cpus_per_worker=1,
        max_workers=4,
    )
    seen = happened["seen"]
    assert seen[0]["workers"] == 0
    assert most_asked_before_workers(seen) == 2
    assert most(seen, "asked") == 2
    assert most(seen, "workers") == 2
    assert_all_done_and_gone(happened, num_cells=2)


def test_nine_cells_get_no_more_workers_than_the_cluster_may_have(sweep):
    happened = sweep(
        *("--randomization", "0,0.5,1", "--sparsity", "0.5,0.9", "--stack", "1"),
        cpus_per_worker=2,
        max_workers=2,
    )
    seen = happened["seen"]
    # The three trainings at once; a pruning asks for nothing before its parent is done.
    assert most_asked_before_workers(seen) == 3
    assert most(seen, "workers") == 2  # for three cells, then for six, which would fill three
    assert_all_done_and_gone(happened, num_cells=9)
