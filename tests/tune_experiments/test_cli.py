"""The command line: names, speed of the light commands, exit codes, errors."""

import json
import subprocess
import sys
import time

import pytest

from rc_core.cells import PruneCell, TrainCell
from rc_core.experiment import FAILURE_FILE, RECORD_FILE, SweepSpec, empty_row, write_json
from rc_core.recipes import preset
from rc_core.storage import open_storage

# Frozen: scripts rest on these names.
COMMANDS = (
    *("run", "retry", "plan", "status", "export", "report", "figure", "compare"),
    *("train", "prune", "eval", "data", "doctor", "dash"),
)


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


@pytest.fixture
def partial_sweep(tmp_path):
    """p = 0 done and pruned once, p = 1 failed."""
    chosen = preset("smoke")
    experiment = open_storage(tmp_path / "partial")
    SweepSpec(chosen.recipe, [chosen.grid], {"code_version": "0", "data_sha256": "0"}).write(experiment)
    for cell in (
        TrainCell(randomization=0.0, seed=42),
        PruneCell(randomization=0.0, seed=42, sparsity=0.5),
    ):
        row = empty_row(cell, chosen.recipe) | {"status": "done", "train_accuracy": 1.0, "steps": 60}
        write_json(experiment.folder(cell.cell_id), RECORD_FILE, {"row": row})
    write_json(experiment.folder("train-p1.00-s42"), FAILURE_FILE, {"error": "DivergenceError: boom"})
    return tmp_path / "partial"


def test_every_command_of_the_design_is_there_and_explains_itself():
    assert all(f" {name} " in rcsweep("--help").stdout for name in COMMANDS)
    for name in COMMANDS:
        assert "usage: rcsweep" in rcsweep(name, "--help").stdout


@pytest.mark.parametrize("command", ["--help", "plan", "status"])
def test_light_commands_import_nothing_heavy_and_answer_within_a_second(command, partial_sweep):
    arguments = {
        "--help": ["--help"],
        "plan": ["plan", "digits", "--storage", str(partial_sweep.parent)],
        "status": ["status", str(partial_sweep), "--json"],
    }[command]
    script = (
        "import sys\n"
        "from tune_experiments.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    heavy = {'torch', 'ray', 'pandas', 'plotly'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)\n"
    )
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - start)
        assert done.stderr.splitlines()[-1] == "heavy: []"
    assert min(seconds) < 1.0


def test_status_counts_every_state_and_exits_3_when_cells_failed(partial_sweep):
    shown = rcsweep("status", partial_sweep, code=3)
    assert "2 done, 0 running, 1 failed, 2 parent-failed, 1 missing" in shown.stdout
    assert "DivergenceError: boom" in shown.stdout

    as_json = json.loads(rcsweep("status", partial_sweep, "--json", code=3).stdout)
    assert as_json["counts"] == {"done": 2, "running": 0, "failed": 1, "parent-failed": 2, "missing": 1}
    assert len(as_json["cells"]) == 6


def test_export_has_a_row_for_every_cell(partial_sweep, tmp_path):
    rcsweep("export", partial_sweep, "--out", tmp_path / "table.csv")

    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + 6
    assert lines[0].startswith("cell_id,phase,status,recipe,")
    assert sum(",missing," in line for line in lines) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "cifar"], "recipe = 'cifar': must be one of smoke, digits"),
        (["plan", "digits", "--sparsity", "0.5,90"], "sparsity = 90.0: must be in [0, 1)"),
        (["plan", "digits", "--randomization", "0.333"], "randomization = 0.333: at most 2 decimals"),
        (["run", "digits", "--seeds", "1,1"], "a level stands there twice"),
    ],
)
def test_usage_errors_name_the_value_and_exit_2(arguments, message, tmp_path):
    done = rcsweep(*arguments, "--storage", tmp_path, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_experiment_is_an_error_without_a_traceback(tmp_path):
    done = rcsweep("status", "nothing", "--storage", tmp_path, code=1)
    assert "no experiment here" in done.stderr
    assert "Traceback" not in done.stderr


def test_data_prepare_and_verify(tmp_path):
    rcsweep("data", "prepare", "digits", "--out", tmp_path)
    good = tmp_path / "digits_test.tfrecord"
    assert "797 records of 8x8x1" in rcsweep("data", "verify", good).stdout

    damaged = bytearray(good.read_bytes())
    damaged[100] ^= 1
    good.write_bytes(damaged)
    done = rcsweep("data", "verify", good, tmp_path / "digits_train.tfrecord", code=1)
    assert "BAD" in done.stdout
    assert "record 0" in done.stdout
    assert "1,000 records" in done.stdout
