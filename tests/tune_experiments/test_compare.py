"""`rcsweep compare`: table, JSON, exit codes, and what it does not import."""

import json
import subprocess
import sys

import pytest

from rc_core.cells import Grid, PruneCell, TrainCell
from rc_core.experiment import FAILURE_FILE, RECORD_FILE, SweepSpec, empty_row, write_json
from rc_core.recipes import preset
from rc_core.storage import open_storage

GRID = Grid(randomizations=(0.0,), sparsities=(0.5,), seeds=(42, 43))


def make_sweep(root, name, accuracies, grid=GRID):
    """A sweep of `smoke`; cells without an accuracy have failed."""
    recipe = preset("smoke").recipe
    experiment = open_storage(root / name)
    SweepSpec(recipe, [grid], {"code_version": "0", "data_sha256": "0"}).write(experiment)
    for cell in grid.cells():
        folder = experiment.folder(cell.cell_id)
        if cell.cell_id in accuracies:
            row = empty_row(cell, recipe) | {"status": "done", "train_accuracy": accuracies[cell.cell_id]}
            write_json(folder, RECORD_FILE, {"row": row})
        else:
            write_json(folder, FAILURE_FILE, {"error": "DivergenceError: boom"})


@pytest.fixture
def two_sweeps(tmp_path):
    """`old` is complete; of `new` one pruning failed, the other scores .25 less."""
    dense = {TrainCell(randomization=0.0, seed=seed).cell_id: 1.0 for seed in GRID.seeds}
    pruned = [PruneCell(randomization=0.0, seed=seed, sparsity=0.5).cell_id for seed in GRID.seeds]
    make_sweep(tmp_path, "old", dense | dict.fromkeys(pruned, 0.75))
    make_sweep(tmp_path, "new", dense | {pruned[0]: 0.5})
    return tmp_path


def rcsweep(*arguments, code=0, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "tune_experiments", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_table(two_sweeps):
    lines = rcsweep("compare", "old", "new", "--storage", two_sweeps).stdout.splitlines()
    assert lines == [
        "training accuracy: new minus old, mean over paired seeds with 95% t-interval",
        "",
        "p      S  difference      low     high  n  of  every seed",
        "0  dense     +0.0000  +0.0000  +0.0000  2   2  42: +0.0000, 43: +0.0000",
        "0    0.5     -0.2500        -        -  1   2  42: -0.2500",
        "",
        "n = 3 pairs of equal randomization, sparsity and seed. 1 of 4 shared cells have no value in one "
        "of the sweeps and are left out.",
    ]


def test_json(two_sweeps):
    found = json.loads(rcsweep("compare", "old", "new", "--json", "--storage", two_sweeps).stdout)
    assert (found["first"], found["second"], found["num_unpaired"]) == ("old", "new", 1)
    assert found["cells"][1] == {
        "randomization": 0.0,
        "sparsity_target": 0.5,
        "mean_difference": -0.25,
        "low": None,
        "high": None,
        "n": 1,
        "num_shared": 2,
        "num_only_first": 0,
        "num_only_second": 0,
        "differences": [{"seed": 42, "difference": -0.25}],
    }


def test_sweeps_of_one_name_in_two_places_are_told_apart(two_sweeps, tmp_path):
    make_sweep(tmp_path / "elsewhere", "old", {"train-p0.00-s42": 1.0, "train-p0.00-s43": 1.0})
    here, there = tmp_path / "old", tmp_path / "elsewhere" / "old"
    assert f"{there} minus {here}" in rcsweep("compare", here, there).stdout


def test_exit_codes_and_messages(two_sweeps):
    usage = rcsweep("compare", "old", "new", "--metric", "f1", "--storage", two_sweeps, code=2)
    assert "--metric f1: must be one of train_accuracy" in usage.stderr
    assert "nowhere" in rcsweep("compare", "old", "nowhere", "--storage", two_sweeps, code=1).stderr
    other = Grid(randomizations=(1.0,), sparsities=(), seeds=(42,))
    make_sweep(two_sweeps, "other", {"train-p1.00-s42": 1.0}, other)
    apart = rcsweep("compare", "old", "other", "--storage", two_sweeps, code=1)
    assert "old and other have no cell of equal randomization, sparsity and seed" in apart.stderr


def test_neither_torch_nor_ray_is_imported(two_sweeps):
    script = (
        "import sys\n"
        "from tune_experiments.cli import main\n"
        "try:\n"
        f"    main(['compare', {str(two_sweeps / 'old')!r}, {str(two_sweeps / 'new')!r}])\n"
        "except SystemExit as end:\n"
        "    print(end.code, sorted({'torch', 'ray'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == "0 []\n"


def test_figure_names_the_figures_of_the_gallery(two_sweeps):
    help_text = rcsweep("figure", "--help").stdout.replace("\n", "").replace("│", "").replace(" ", "")
    assert "threshold,surgery,gap,memorization,forgetting,cost,published" in help_text
    wrong = rcsweep("figure", two_sweeps / "old", "pie", "--out", two_sweeps / "a.png", code=1)
    assert "curves, slots, threshold, surgery" in wrong.stderr
