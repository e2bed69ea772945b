"""Whole sweeps on a real local Ray: order of cells, idempotence, extension, refusal, failure."""

import json
import re
import subprocess
import sys
from datetime import datetime

import pytest

from rc_core.cell_states import read_rows
from rc_core.cells import Grid, PruneCell
from rc_core.checkpoints import checkpoint_name, save_checkpoint
from rc_core.datasets import load_recipe_splits
from rc_core.execution import Execution
from rc_core.experiment import RECORD_FILE, SweepSpec, read_json
from rc_core.recipes import preset
from rc_core.runs import run_cell
from rc_core.storage import open_storage

SMOKE = preset("smoke")

pytestmark = pytest.mark.timeout(240)


def run_smoke(root, *arguments, code=0):
    return run_sweep("smoke", root, *arguments, code=code)


def run_sweep(recipe, root, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "tune_experiments", "run", recipe, "--storage", str(root), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def record_times(experiment):
    return {path.parent.name: path.stat().st_mtime_ns for path in experiment.path.glob(f"*/{RECORD_FILE}")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("sweep")
    return run_smoke(root), open_storage(root / "smoke")


def test_every_cell_is_done_in_a_folder_that_bears_its_id(finished):
    done, experiment = finished
    cells = SMOKE.grid.cells()
    assert [row["cell_id"] for row in read_rows(experiment)] == [cell.cell_id for cell in cells]
    assert {row["status"] for row in read_rows(experiment)} == {"done"}
    assert len(record_times(experiment)) == 6
    assert "6 cells in" in done.stdout
    assert f"report: {experiment.location}/report.html" in done.stdout
    assert "</html>" in experiment.read("report.html").decode()[-100:]


def test_rays_own_noise_goes_to_a_file(finished):
    done, experiment = finished
    assert "ray" not in done.stdout.lower()
    before_table = done.stdout.partition("\n\n")[0].splitlines()
    ours = r"done    (train|prune)-p|\S+: 6 cells to run|\d/6 done|6 cells in"
    assert [line for line in before_table if not re.match(ours, line)] == []
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "ray.tune" in experiment.read("ray.log").decode()


def test_a_pruning_starts_when_its_own_parent_is_done_and_names_it(finished):
    _, experiment = finished
    for cell in SMOKE.grid.cells():
        if cell.parent is None:
            continue
        child = read_json(experiment.folder(cell.cell_id), RECORD_FILE)
        parent = read_json(experiment.folder(cell.parent.cell_id), RECORD_FILE)
        started = datetime.fromisoformat(child["provenance"]["started"])
        assert started >= datetime.fromisoformat(parent["provenance"]["ended"])
        assert child["row"]["parent_id"] == cell.parent.cell_id
        assert child["row"]["parent_sha256"] == parent["checkpoint_sha256"]


def test_a_sweep_gives_the_bits_of_single_cells_without_ray(finished, tmp_path):
    _, experiment = finished
    cell = PruneCell(randomization=1.0, seed=42, sparsity=0.9)
    train, test = load_recipe_splits(SMOKE.recipe)
    folder = open_storage(tmp_path)
    for one, parent in ((cell.parent, None), (cell, folder.folder("train"))):
        run_cell(
            one,
            SMOKE.recipe,
            train,
            test,
            10,
            folder.folder(one.phase),
            parent=parent,
            execution=Execution(device="cpu", threads=1, stacked=True),
        )
        alone = read_json(folder.folder(one.phase), RECORD_FILE)
        swept = read_json(experiment.folder(one.cell_id), RECORD_FILE)
        assert alone["checkpoint_sha256"] == swept["checkpoint_sha256"]
        for column in ("train_accuracy", "train_loss", "test_accuracy", "sparsity", "label_sha256"):
            assert alone["row"][column] == swept["row"][column]


def test_the_same_command_again_does_nothing_and_says_so(finished):
    _, experiment = finished
    before = record_times(experiment)

    done = run_smoke(experiment.path.parent)

    assert "nothing to do, all 6 cells are finished" in done.stdout
    assert record_times(experiment) == before


def test_another_recipe_under_the_name_is_refused_with_the_fields_that_differ(finished):
    _, experiment = finished
    before = experiment.read("sweep.json")
    done = run_sweep("digits", experiment.path.parent, "--name", "smoke", code=2)
    assert "width: 4 | 8" in done.stderr
    assert "train.num_steps: 60 | 600" in done.stderr
    assert experiment.read("sweep.json") == before


def test_one_more_sparsity_runs_just_the_new_cells_on_the_old_parents(finished):
    _, experiment = finished
    before = record_times(experiment)

    done = run_smoke(experiment.path.parent, "--sparsity", "0.5,0.7,0.9")

    new = {"prune-p0.00-s42-dns-S0.700", "prune-p1.00-s42-dns-S0.700"}
    assert "2 cells to run, 6 finished" in done.stdout
    after = record_times(experiment)
    assert after.keys() - before.keys() == new
    assert {cell: after[cell] for cell in before} == before
    spec = SweepSpec.read(experiment)
    extended = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.7, 0.9), seeds=(42,))
    assert spec.grids == [SMOKE.grid, extended]
    assert len(read_rows(experiment)) == 8


def test_a_failed_parent_spares_the_others_and_retry_mends_it(tmp_path):
    experiment = open_storage(tmp_path / "smoke")
    # The folder of p = 1 holds a checkpoint of another recipe: the cell must refuse to go on from it.
    foreign = {"cell": {"phase": "train", "randomization": 1.0, "seed": 42}, "recipe": {"name": "other"}}
    folder = experiment.folder("train-p1.00-s42").folder(checkpoint_name(1))
    save_checkpoint(folder, 1, {}, foreign | {"parent_sha256": None})

    done = run_smoke(tmp_path, code=3)

    statuses = {row["cell_id"]: row["status"] for row in read_rows(experiment)}
    assert statuses == {
        "train-p0.00-s42": "done",
        "train-p1.00-s42": "failed",
        "prune-p0.00-s42-dns-S0.500": "done",
        "prune-p0.00-s42-dns-S0.900": "done",
        "prune-p1.00-s42-dns-S0.500": "parent-failed",
        "prune-p1.00-s42-dns-S0.900": "parent-failed",
    }
    assert "holds another recipe" in done.stderr
    failure = json.loads(experiment.read("train-p1.00-s42/failure.json"))
    assert "Traceback" in failure["traceback"]

    assert f"rcsweep retry {experiment.location}" in done.stderr
    finished_before = record_times(experiment)
    experiment.delete("train-p1.00-s42/checkpoint-00000001")
    retried = subprocess.run(
        [sys.executable, "-m", "tune_experiments", "retry", experiment.location],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 cells to run, 0 finished" in retried.stdout
    assert record_times(experiment).items() >= finished_before.items()
    assert {row["status"] for row in read_rows(experiment)} == {"done"}
