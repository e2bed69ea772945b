"""One fault at a time, done to a real sweep: what is lost, what the user reads, and what mends it.

A kill for lack of memory is a SIGKILL to a trial's process, by the kernel or by Ray's memory monitor, and so
takes the path of `test_a_killed_trial_goes_on_from_its_checkpoint`.

Events, not clocks: a fault is done when the cell's folder shows that the cell is under way, and limits in
seconds only end tests that would hang.
"""

import json
import os
import random
import shutil
import signal
import time

import pytest

from chaos.cells import attempts, running_cells, whole_checkpoints
from chaos.comparison import TIME_COLUMNS
from chaos.damage import cut_in_half, flip_byte, strew
from chaos.disk import can_mount, small_disk
from chaos.driver import Driver
from rc_core.cell_states import read_rows
from rc_core.cells import Grid
from rc_core.checkpointer import CellInterrupted
from rc_core.checkpoints import CheckpointError, checkpoint_name, load_checkpoint
from rc_core.datasets import load_recipe_splits
from rc_core.execution import Execution
from rc_core.experiment import DRIVER_FILE, RECORD_FILE, read_json, read_record, write_json
from rc_core.processes import process_space
from rc_core.recipes import preset
from rc_core.runs import run_cell
from rc_core.storage import open_storage

LIMIT_SECONDS = 240
pytestmark = pytest.mark.timeout(2 * LIMIT_SECONDS)

# A test run may last longer than the work tree stays as it is.
NOT_COMPARED = TIME_COLUMNS | {"code_version"}

DIGITS = Grid(randomizations=(1.0,), sparsities=(0.9,), seeds=(42,))
TRAIN, PRUNE = (cell.cell_id for cell in DIGITS.cells())
TRAIN_ONLY = ("--sparsity", "")


def run_alone(recipe, cells, folder, **execution):
    """Cells in this process, without Ray and without faults."""
    train, test = load_recipe_splits(recipe)
    for cell in cells:
        run_cell(
            cell,
            recipe,
            train,
            test,
            10,
            folder.folder(cell.cell_id),
            parent=folder.folder(cell.parent.cell_id) if cell.parent else None,
            execution=Execution(device="cpu", threads=1, stacked=True, report=lambda line: None, **execution),
        )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The two cells of `digits`, as they are without any fault."""
    folder = open_storage(tmp_path_factory.mktemp("undisturbed"))
    run_alone(preset("digits").recipe, DIGITS.cells(), folder)
    return folder


@pytest.fixture
def run(tmp_path):
    """Starts `rcsweep` commands, and in the end kills what they left."""
    drivers = []

    def start(command, *arguments, storage=tmp_path):
        output = tmp_path / f"driver-{len(drivers)}.txt"
        drivers.append(Driver([*command.split(), "--storage", str(storage), *arguments], output))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.end_processes()


@pytest.fixture
def run_digits(run):
    def start(*arguments, **options):
        grid = ("--randomization", "1", "--sparsity", "0.9", "--seeds", "42")
        return run("run digits", *grid, "--checkpoint-seconds", "0.5", *arguments, **options)

    return start


def assert_ends(driver, code):
    found = driver.wait(LIMIT_SECONDS)
    assert found == code, driver.output


def wait_for_checkpoint(driver, experiment, cell_id=TRAIN, num_attempts=1):
    """The running cell, once it has a checkpoint and that many attempts."""
    found = []

    def is_there():
        if len(attempts(experiment / cell_id)) < num_attempts or not whole_checkpoints(experiment / cell_id):
            return False
        found[:] = [cell for cell in running_cells(experiment, 0) if cell.folder.name == cell_id]
        return bool(found)

    assert driver.wait_until(is_there, LIMIT_SECONDS), driver.output
    return found[0]


def assert_equal_results(experiment, undisturbed, cell_ids):
    for cell_id in cell_ids:
        ours, theirs = (read_record(open_storage(folder / cell_id)) for folder in (experiment, undisturbed))
        assert ours is not None, f"{cell_id} is not finished"
        assert ours["checkpoint_sha256"] == theirs["checkpoint_sha256"]
        assert ours["layers"] == theirs["layers"]
        compared = ours["row"].keys() - NOT_COMPARED
        assert {name: ours["row"][name] for name in compared} == {
            name: theirs["row"][name] for name in compared
        }


def record_times(experiment):
    return {path.parent.name: path.stat().st_mtime_ns for path in experiment.glob(f"*/{RECORD_FILE}")}


def log_of(experiment, cell_id):
    return (experiment / cell_id / "log.txt").read_text()


def test_a_killed_trial_goes_on_from_its_checkpoint(run_digits, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    driver = run_digits(*TRAIN_ONLY)
    cell = wait_for_checkpoint(driver, experiment)
    os.kill(cell.pid, signal.SIGKILL)

    assert_ends(driver, 0)

    first, second = read_record(open_storage(cell.folder))["provenance"]["attempts"]
    assert first["pid"] == cell.pid
    assert second["pid"] != cell.pid
    assert "resumed at step" in log_of(experiment, TRAIN)
    assert_equal_results(experiment, undisturbed.path, [TRAIN])


def test_a_second_driver_is_refused_but_the_next_one_after_a_killed_one_is_not(
    run_digits, undisturbed, tmp_path
):
    experiment = tmp_path / "digits"
    driver = run_digits()
    assert driver.wait_until((experiment / DRIVER_FILE).exists, LIMIT_SECONDS)
    second = run_digits()
    wait_for_checkpoint(driver, experiment, PRUNE)
    assert_ends(second, 2)
    assert f"process {driver.pid} on " in second.output
    assert "runs this sweep already" in second.output

    finished = record_times(experiment)
    assert finished.keys() == {TRAIN}
    driver.kill()
    assert read_json(open_storage(experiment), DRIVER_FILE)["ended"] is None  # it could say nothing any more

    driver = run_digits()
    assert_ends(driver, 0)

    assert "1 cells to run, 1 finished" in driver.output
    assert record_times(experiment)[TRAIN] == finished[TRAIN]
    assert len(attempts(experiment / PRUNE)) == 2
    assert "resumed at step" in log_of(experiment, PRUNE)
    assert_equal_results(experiment, undisturbed.path, [TRAIN, PRUNE])


def test_ctrl_c_leaves_a_checkpoint(run_digits, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    driver = run_digits(*TRAIN_ONLY)
    cell = wait_for_checkpoint(driver, experiment)

    driver.press_ctrl_c()
    assert_ends(driver, 130)
    assert "1 cells are left; the same command goes on with them" in driver.output
    newest = load_checkpoint(open_storage(whole_checkpoints(cell.folder)[0]))
    assert f"stopped at step {newest.step} of 600, checkpoint written" in log_of(experiment, TRAIN)

    assert_ends(run_digits(*TRAIN_ONLY), 0)
    assert f"resumed at step {newest.step} of 600" in log_of(experiment, TRAIN)
    assert_equal_results(experiment, undisturbed.path, [TRAIN])


# Several kinds of damage at once, each to a cell of its own, met by one driver.

SMOKE = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.9,), seeds=(42, 43))
TORN_RECORD, CORRUPTED, REFUSED_PARENT = "train-p0.00-s42", "train-p0.50-s42", "train-p1.00-s42"
TORN_NOTES, FINISHED, NOTHING_WHOLE = "train-p0.00-s43", "train-p0.50-s43", "train-p1.00-s43"
REFUSED_CHILD = "prune-p1.00-s42-dns-S0.900"


class Steps:
    """Asks a cell to stop after some steps."""

    def __init__(self, num_steps):
        self.num_left = num_steps

    def __call__(self):
        self.num_left -= 1
        return self.num_left == 0


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A driver that met damages, the experiment's folder, the right results, and an old record's time."""
    recipe, cells = preset("smoke").recipe, {cell.cell_id: cell for cell in SMOKE.cells()}
    right = open_storage(tmp_path_factory.mktemp("right"))
    run_alone(recipe, cells.values(), right)
    root = tmp_path_factory.mktemp("damaged")
    experiment = open_storage(root / "smoke")
    run_alone(recipe, [cells[name] for name in (TORN_RECORD, REFUSED_PARENT, FINISHED)], experiment)
    for name in (CORRUPTED, TORN_NOTES, NOTHING_WHOLE):
        with pytest.raises(CellInterrupted):
            run_alone(recipe, [cells[name]], experiment, checkpoint_seconds=0, should_stop=Steps(30))

    rng = random.Random(0)
    folder = experiment.path
    cut_in_half(folder / TORN_RECORD / RECORD_FILE)
    flip_byte(folder / CORRUPTED / checkpoint_name(30) / "state.safetensors", rng)
    flip_byte(folder / REFUSED_PARENT / "final" / "state.safetensors", rng)
    cut_in_half(folder / TORN_NOTES / "attempts.json")
    (folder / TORN_NOTES / "failure.json").write_bytes(b'{"error": "Run')
    for step in (29, 30):
        cut_in_half(folder / NOTHING_WHOLE / checkpoint_name(step) / "state.safetensors")
    strew(folder, folder / TORN_NOTES)
    (folder / "stop.json").write_bytes(b'{"driver"')
    heartbeat = {"token": "dead", "process_space": process_space(), "pid": os.getpid(), "host": "here"}
    write_json(experiment, DRIVER_FILE, heartbeat | {"time": time.time(), "ended": None, "running": []})
    before = record_times(folder)[FINISHED]

    grid = ("--randomization", "0,0.5,1", "--sparsity", "0.9", "--seeds", "42,43")
    driver = Driver(["run", "smoke", *grid, "--storage", str(root)], root / "output.txt")
    try:
        assert_ends(driver, 3)
    finally:
        driver.end_processes()
    return driver, folder, right.path, before


def test_damages_cost_no_cell_but_the_child_of_a_damaged_parent(damaged):
    _, folder, right, _ = damaged
    statuses = {row["cell_id"]: row["status"] for row in read_rows(open_storage(folder))}
    assert [cell_id for cell_id, status in statuses.items() if status != "done"] == [REFUSED_CHILD]
    assert_equal_results(folder, right, statuses.keys() - {REFUSED_CHILD})


def test_a_finished_cell_is_left_alone(damaged):
    _, folder, _, before = damaged
    assert record_times(folder)[FINISHED] == before
    assert len(attempts(folder / FINISHED)) == 1


def test_a_torn_record_makes_the_cell_run_again(damaged):
    driver, folder, _, _ = damaged
    assert f"done    {TORN_RECORD}" in driver.output
    assert "record.json is damaged: the cell is run again" in log_of(folder, TORN_RECORD)
    assert len(attempts(folder / TORN_RECORD)) == 2


def test_a_corrupted_checkpoint_is_passed_over_for_the_one_before_and_the_log_says_so(damaged):
    _, folder, _, _ = damaged
    log = log_of(folder, CORRUPTED)
    assert "damaged checkpoint passed over" in log
    assert f"{checkpoint_name(30)}/state.safetensors: SHA-256 is " in log
    assert "resumed at step 29 of 60" in log


def test_without_a_whole_checkpoint_the_cell_begins_again(damaged):
    _, folder, _, _ = damaged
    log = log_of(folder, NOTHING_WHOLE)
    assert log.count("damaged checkpoint passed over") == 2
    assert "resumed" not in log


def test_torn_notes_of_earlier_attempts_are_no_obstacle(damaged):
    _, folder, _, _ = damaged
    assert read_record(open_storage(folder / TORN_NOTES)) is not None
    assert not (folder / TORN_NOTES / "failure.json").exists()


def test_a_child_refuses_a_damaged_parent_once_and_names_the_hash(damaged):
    driver, folder, _, _ = damaged
    assert f"FAILED  {REFUSED_CHILD}: CheckpointError" in driver.output
    assert f"{REFUSED_PARENT}/final/state.safetensors: SHA-256 is" in driver.output
    assert len(attempts(folder / REFUSED_CHILD)) == 1
    assert "CheckpointError" in json.loads((folder / REFUSED_CHILD / "failure.json").read_text())["error"]


@pytest.mark.slow
def test_a_damaged_parent_is_mended_by_deleting_its_folder(damaged, run, tmp_path):
    _, folder, right, _ = damaged
    shutil.copytree(folder, tmp_path / "smoke")
    shutil.rmtree(tmp_path / "smoke" / REFUSED_PARENT)
    assert_ends(run("retry smoke"), 0)
    assert_equal_results(tmp_path / "smoke", right, [REFUSED_PARENT, REFUSED_CHILD])


@pytest.mark.slow
def test_sigterm_is_taken_like_ctrl_c(run_digits, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    driver = run_digits(*TRAIN_ONLY)
    wait_for_checkpoint(driver, experiment)
    driver.terminate()
    assert_ends(driver, 130)
    assert "checkpoint written" in log_of(experiment, TRAIN)
    assert_ends(run_digits(*TRAIN_ONLY), 0)
    assert_equal_results(experiment, undisturbed.path, [TRAIN])


@pytest.mark.slow
def test_ctrl_c_twice_ends_at_once(run_digits, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    driver = run_digits(*TRAIN_ONLY)
    wait_for_checkpoint(driver, experiment)
    driver.press_ctrl_c()
    time.sleep(0.1)  # two signals of one moment are one to the kernel
    driver.press_ctrl_c()
    started = time.monotonic()
    assert_ends(driver, 130)
    assert time.monotonic() - started < 30
    assert "Traceback" not in driver.output
    assert_ends(run_digits(*TRAIN_ONLY), 0)
    assert_equal_results(experiment, undisturbed.path, [TRAIN])


def test_the_neighbours_of_a_cell_that_kills_its_process_are_tried_alone(run, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    grid = ("--randomization", "1", "--seeds", "42,43,44,45", *TRAIN_ONLY)
    # One slot, so that all four are one stack.
    driver = run(
        "run digits", *grid, "--checkpoint-seconds", "0.2", "--max-retries", "0", "--cpus-per-trial", "2"
    )
    cell = wait_for_checkpoint(driver, experiment)
    os.kill(cell.pid, signal.SIGKILL)

    assert_ends(driver, 0)

    assert driver.output.count("its stack failed; it is tried alone") == 4
    for seed in (42, 43, 44, 45):
        record = read_record(open_storage(experiment / f"train-p1.00-s{seed}"))
        first, second = record["provenance"]["attempts"]
        assert first["pid"] == cell.pid
        assert "stack" in first
        assert "stack" not in second
    assert "resumed at step" in log_of(experiment, TRAIN)


@pytest.mark.slow
def test_a_trial_that_keeps_dying_fails_and_retry_completes_it(run, run_digits, undisturbed, tmp_path):
    experiment = tmp_path / "digits"
    driver = run_digits("--max-retries", "1")
    for num_attempts in (1, 2):
        cell = wait_for_checkpoint(driver, experiment, TRAIN, num_attempts)
        os.kill(cell.pid, signal.SIGKILL)
    assert_ends(driver, 3)

    assert len(attempts(experiment / TRAIN)) == 2
    rows = {row["cell_id"]: row for row in read_rows(open_storage(experiment))}
    assert {cell_id: row["status"] for cell_id, row in rows.items()} == {
        TRAIN: "failed",
        PRUNE: "parent-failed",
    }
    assert "process died without a word" in rows[TRAIN]["error"]
    assert TRAIN in rows[PRUNE]["error"]
    assert f"rcsweep retry {experiment}" in driver.output
    assert not (experiment / PRUNE).exists() or not attempts(experiment / PRUNE)

    assert_ends(run("retry digits"), 0)
    assert len(attempts(experiment / TRAIN)) == 3
    assert_equal_results(experiment, undisturbed.path, [TRAIN, PRUNE])


@pytest.mark.slow
def test_a_full_disk_fails_the_cell_with_the_file_and_free_space_mends_it(run_digits, undisturbed, tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("no small disk can be mounted here")
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        experiment = disk.path / "digits"
        driver = run_digits(*TRAIN_ONLY, storage=disk.path)
        cell = wait_for_checkpoint(driver, experiment)
        disk.fill()
        assert_ends(driver, 3)

        assert "No space left on device" in driver.output
        assert "free some space" in driver.output
        assert f"/{TRAIN}/" in driver.output
        assert "Traceback" not in driver.output
        checkpoint = load_checkpoint(open_storage(whole_checkpoints(cell.folder)[0]))
        with pytest.raises(CheckpointError):
            load_checkpoint(open_storage(cell.folder / "final"))

        disk.free()
        assert_ends(run_digits(*TRAIN_ONLY, storage=disk.path), 0)
        assert f"resumed at step {checkpoint.step} of 600" in log_of(experiment, TRAIN)
        assert_equal_results(experiment, undisturbed.path, [TRAIN])
