import json
import shutil
import time

import pytest

from rc_core.cell_states import CellState, read_rows, read_states
from rc_core.cells import Grid, TrainCell, cell_to_dict
from rc_core.experiment import COLUMNS, SweepSpec, empty_row, read_record, read_records, write_json
from rc_core.recipes import preset, recipe_to_dict
from rc_core.storage import LocalStorage

RECIPE = preset("digits").recipe

# An experiment folder, written file by file as its description says


TRAIN_0, TRAIN_1 = "train-p0.00-s42", "train-p1.00-s42"
PRUNE_0_5, PRUNE_0_9 = "prune-p0.00-s42-dns-S0.500", "prune-p0.00-s42-dns-S0.900"
PRUNE_1_5, PRUNE_1_9 = "prune-p1.00-s42-dns-S0.500", "prune-p1.00-s42-dns-S0.900"
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
CELLS = {cell.cell_id: cell for cell in GRID.cells()}


@pytest.fixture
def folder(tmp_path) -> LocalStorage:
    """A sweep of two trainings and four prunings of which none has begun."""
    storage = LocalStorage(tmp_path / "sweep")
    SweepSpec(RECIPE, [GRID], {"code_version": "0"}).write(storage)
    return storage


def finish(storage: LocalStorage, cell_id: str, **values: object) -> None:
    row = empty_row(CELLS[cell_id], RECIPE) | {"status": "done", "steps": 600} | values
    record = {"cell": cell_to_dict(CELLS[cell_id]), "recipe": recipe_to_dict(RECIPE), "row": row}
    storage.write(f"{cell_id}/record.json", json.dumps(record).encode())


def fail(storage: LocalStorage, cell_id: str, error: str) -> None:
    storage.write(f"{cell_id}/failure.json", json.dumps({"error": error}).encode())


def drive(storage: LocalStorage, *running: str, age_seconds: float = 0, ended: bool = False) -> None:
    driver = {"time": time.time() - age_seconds, "running": list(running), "ended": ended}
    storage.write("driver.json", json.dumps(driver).encode())


def states(storage: LocalStorage) -> dict[str, tuple[str, object]]:
    rows = read_rows(storage)
    assert all(tuple(row) == COLUMNS for row in rows)
    return {row["cell_id"]: (row["status"], row["error"]) for row in rows}


MISSING = ("missing", None)


def test_a_sweep_that_has_not_begun_has_a_row_for_every_cell(folder):
    assert read_rows(folder) == [empty_row(cell, RECIPE) for cell in GRID.cells()]
    assert list(states(folder)) == [TRAIN_0, TRAIN_1, PRUNE_0_5, PRUNE_0_9, PRUNE_1_5, PRUNE_1_9]


def test_a_sweep_of_which_a_part_is_done(folder):
    finish(folder, TRAIN_0, train_accuracy=1.0)
    finish(folder, PRUNE_0_9, train_accuracy=0.25, sparsity=0.89)
    found = states(folder)
    assert found.pop(TRAIN_0) == found.pop(PRUNE_0_9) == ("done", None)
    assert set(found.values()) == {MISSING}
    rows = {row["cell_id"]: row for row in read_rows(folder)}
    assert (rows[PRUNE_0_9]["train_accuracy"], rows[PRUNE_0_9]["sparsity"]) == (0.25, 0.89)
    assert rows[PRUNE_0_9]["sparsity_target"] == 0.9
    assert rows[TRAIN_1]["train_accuracy"] is None


def test_a_failed_training_takes_its_own_prunings_with_it(folder):
    finish(folder, TRAIN_0)
    fail(folder, PRUNE_0_5, "OutOfMemoryError: 3 GiB")
    fail(folder, TRAIN_1, "DivergenceError: step 5")
    assert states(folder) == {
        TRAIN_0: ("done", None),
        TRAIN_1: ("failed", "DivergenceError: step 5"),
        PRUNE_0_5: ("failed", "OutOfMemoryError: 3 GiB"),
        PRUNE_0_9: MISSING,
        PRUNE_1_5: ("parent-failed", "train-p1.00-s42: DivergenceError: step 5"),
        PRUNE_1_9: ("parent-failed", "train-p1.00-s42: DivergenceError: step 5"),
    }


def test_a_cell_that_failed_and_was_finished_later_is_done(folder):
    fail(folder, TRAIN_1, "worker died")
    finish(folder, TRAIN_1)
    assert states(folder)[TRAIN_1] == ("done", None)
    assert states(folder)[PRUNE_1_5] == MISSING


def test_a_pruning_that_was_finished_before_its_training_was_lost_stays_done(folder):
    finish(folder, PRUNE_1_5)
    fail(folder, TRAIN_1, "lost")
    assert states(folder)[PRUNE_1_5] == ("done", None)
    assert states(folder)[PRUNE_1_9][0] == "parent-failed"


def test_running_is_what_a_living_driver_says(folder):
    finish(folder, TRAIN_0)
    fail(folder, TRAIN_1, "first attempt")
    drive(folder, TRAIN_0, TRAIN_1, PRUNE_0_5)
    assert states(folder) == {
        TRAIN_0: ("done", None),  # its record is there already
        TRAIN_1: ("running", None),  # the second attempt
        PRUNE_0_5: ("running", None),
        PRUNE_0_9: MISSING,
        PRUNE_1_5: MISSING,
        PRUNE_1_9: MISSING,
    }


@pytest.mark.parametrize("driver", [{"age_seconds": 61}, {"age_seconds": 86_400}, {"ended": True}])
def test_nothing_runs_without_a_living_driver(folder, driver):
    drive(folder, TRAIN_0, **driver)
    fail(folder, TRAIN_1, "error")
    assert states(folder)[TRAIN_0] == MISSING
    assert states(folder)[TRAIN_1] == ("failed", "error")


def test_a_cell_of_which_only_a_checkpoint_is_there_is_missing(folder):
    folder.write(f"{TRAIN_0}/checkpoint-00000005/checkpoint.json", b"{}")
    folder.write(f"{TRAIN_0}/final/state.safetensors", b"half")
    assert states(folder)[TRAIN_0] == MISSING


def test_several_grids_give_their_union(folder):
    more = Grid(randomizations=(0.0,), sparsities=(0.9, 0.95), seeds=(42, 43))
    SweepSpec(RECIPE, [GRID, more], {}).write(folder)
    assert list(states(folder)) == [
        TRAIN_0,
        TRAIN_1,
        "train-p0.00-s43",
        PRUNE_0_5,
        PRUNE_0_9,
        PRUNE_1_5,
        PRUNE_1_9,
        "prune-p0.00-s42-dns-S0.950",
        "prune-p0.00-s43-dns-S0.900",
        "prune-p0.00-s43-dns-S0.950",
    ]


def test_cells_outside_the_grid_are_left_out(folder):
    other = TrainCell(randomization=0.5, seed=1)
    record = {"row": empty_row(other, RECIPE), "cell": cell_to_dict(other)}
    folder.write(f"{other.cell_id}/record.json", json.dumps(record).encode())
    assert other.cell_id not in states(folder)


def test_a_folder_may_be_moved(folder, tmp_path):
    finish(folder, TRAIN_0, train_accuracy=1.0)
    fail(folder, TRAIN_1, "error")
    before = read_rows(folder)
    for path in tmp_path.rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    shutil.move(tmp_path / "sweep", tmp_path / "another place")
    assert read_rows(LocalStorage(tmp_path / "another place")) == before
    with pytest.raises(FileNotFoundError):
        read_rows(folder)


# Attempts, orphans, damage


BEGUN = {"started": "2026-01-01T00:00:00.250+00:00", "host": "lab", "pid": 7}
T0 = 1767225600.0


def begin(storage: LocalStorage, cell_id: str, num_attempts: int = 1) -> None:
    storage.write(f"{cell_id}/attempts.json", json.dumps({"attempts": [BEGUN] * num_attempts}).encode())


def states_by_id(storage: LocalStorage, **settings) -> dict[str, CellState]:
    return {state.row["cell_id"]: state for state in read_states(storage, **settings)}


def test_attempts_and_ends_of_cells_in_every_state(folder):
    row = empty_row(CELLS[TRAIN_0], RECIPE) | {"status": "done"}
    provenance = {"ended": "2026-01-01T00:01:00+00:00", "attempts": [BEGUN, BEGUN]}
    write_json(folder, f"{TRAIN_0}/record.json", {"row": row, "provenance": provenance})
    begin(folder, TRAIN_1)
    failure = {"error": "boom", "time": "2026-01-01T00:02:00+00:00"}
    write_json(folder, f"{TRAIN_1}/failure.json", failure)
    begin(folder, PRUNE_0_5, 3)
    begin(folder, PRUNE_0_9)
    folder.write("driver.json", json.dumps({"time": T0 + 60, "running": [PRUNE_0_5]}).encode())
    found = {
        cell_id: (state.num_attempts, state.ended, state.is_orphaned)
        for cell_id, state in states_by_id(folder, now=T0 + 61).items()
    }
    assert found == {
        TRAIN_0: (2, "2026-01-01T00:01:00+00:00", False),
        TRAIN_1: (1, "2026-01-01T00:02:00+00:00", False),
        PRUNE_0_5: (3, None, False),
        PRUNE_0_9: (1, None, True),  # the living driver does not run it
        PRUNE_1_5: (0, None, False),
        PRUNE_1_9: (0, None, False),
    }
    # Without a living driver nothing runs: the other one is orphaned, too.
    assert states_by_id(folder, now=T0 + 200)[PRUNE_0_5].is_orphaned


def test_a_cell_begun_since_the_last_heartbeat_runs(folder):
    begin(folder, TRAIN_0)  # at T0 + .25
    for beat_seconds, status, is_orphaned in ((T0 - 4, "running", False), (T0 + 5, "missing", True)):
        folder.write("driver.json", json.dumps({"time": beat_seconds, "running": []}).encode())
        state = states_by_id(folder, now=T0 + 5)[TRAIN_0]
        assert (state.row["status"], state.is_orphaned) == (status, is_orphaned)


def test_records_from_before_attempts_were_recorded_have_one(folder):
    finish(folder, TRAIN_0)
    assert states_by_id(folder)[TRAIN_0].num_attempts == 1
    assert states_by_id(folder)[TRAIN_0].attempts == ()
    row = empty_row(CELLS[TRAIN_1], RECIPE) | {"status": "done"}
    write_json(folder, f"{TRAIN_1}/record.json", {"row": row, "provenance": BEGUN | {"ended": "x"}})
    (attempt,) = states_by_id(folder)[TRAIN_1].attempts
    assert attempt == {"started": BEGUN["started"], "host": "lab", "pid": None}


@pytest.mark.parametrize("content", [b"", b'{"row": {"cell_id": "tr', b"[1]", b'{"format": 1}', b"\xff\x00"])
def test_a_cell_with_a_damaged_record_is_missing_and_runs_again(folder, content):
    finish(folder, TRAIN_1)
    begin(folder, TRAIN_0)
    folder.write(f"{TRAIN_0}/record.json", content)
    state = states_by_id(folder)[TRAIN_0]
    assert state.row["status"] == "missing"
    assert state.row["error"].startswith("record.json is damaged: ")
    assert str(folder.path) not in state.row["error"]
    assert not state.is_orphaned
    assert state.row["train_accuracy"] is None
    assert list(read_records(folder, [TRAIN_0, TRAIN_1])) == [TRAIN_1]  # so the plan has it again
    assert read_record(folder.folder(TRAIN_0)) is None
    assert [state.row["status"] for state in read_states(folder)].count("missing") == 5

    drive(folder, TRAIN_0)
    assert states(folder)[TRAIN_0] == ("running", None)
    finish(folder, TRAIN_0)
    assert states(folder)[TRAIN_0] == ("done", None)


def test_damaged_failures_and_attempts_lose_their_content_alone(folder):
    folder.write(f"{TRAIN_0}/failure.json", b"{")
    folder.write(f"{TRAIN_0}/attempts.json", b"{")
    folder.write(f"{TRAIN_1}/failure.json", b"{}")
    found = states(folder)
    assert found[TRAIN_0][0] == found[TRAIN_1][0] == "failed"
    assert found[TRAIN_0][1].startswith("failure.json is damaged: not valid JSON")
    assert found[TRAIN_1][1] == "failure.json names no error"
    assert states_by_id(folder)[TRAIN_0].num_attempts == 0


def test_known_cells_are_not_read_again_unless_they_were_unfinished(folder):
    finish(folder, TRAIN_0)
    known = states_by_id(folder)
    folder.write(f"{TRAIN_0}/record.json", b"{")
    finish(folder, TRAIN_1)
    found = states_by_id(folder, known=known)
    assert found[TRAIN_0] is known[TRAIN_0]
    assert found[TRAIN_1].row["status"] == "done"
    shutil.rmtree(folder.path / TRAIN_0)
    assert states_by_id(folder, known=known)[TRAIN_0].row["status"] == "missing"


# Single cells without a sweep


def test_loose_cells_are_listed_with_the_trainings_first(tmp_path):
    storage = LocalStorage(tmp_path)
    for cell_id in (PRUNE_0_5, TRAIN_1, TRAIN_0):
        finish(storage, cell_id, train_accuracy=0.5)
    storage.write("notes.txt", b"not a cell")
    storage.write("unfinished/checkpoint-00000001/checkpoint.json", b"{}")
    rows = read_rows(storage)
    assert [row["cell_id"] for row in rows] == [TRAIN_0, TRAIN_1, PRUNE_0_5]
    assert all(tuple(row) == COLUMNS and row["train_accuracy"] == 0.5 for row in rows)


def test_a_cell_s_own_folder_gives_its_row(tmp_path):
    finish(LocalStorage(tmp_path), TRAIN_0)
    (row,) = read_rows(LocalStorage(tmp_path / TRAIN_0))
    assert (row["cell_id"], row["status"]) == (TRAIN_0, "done")


def test_loose_cells_may_lie_in_folders_of_any_name(tmp_path):
    storage = LocalStorage(tmp_path)
    finish(storage, TRAIN_0)
    shutil.move(tmp_path / TRAIN_0, tmp_path / "my first")
    assert [row["cell_id"] for row in read_rows(storage)] == [TRAIN_0]


@pytest.mark.parametrize("content", [None, "notes.txt", "empty/readme"])
def test_a_folder_without_any_cell_says_so(tmp_path, content):
    if content:
        LocalStorage(tmp_path).write(content, b"x")
    with pytest.raises(FileNotFoundError, match=r"no experiment here \(neither sweep\.json nor"):
        read_rows(LocalStorage(tmp_path))
    with pytest.raises(FileNotFoundError, match="nowhere: no experiment here"):
        read_rows(LocalStorage(tmp_path / "nowhere"))


def test_a_folder_copied_under_another_cell_s_name_tells_nothing(folder):
    finish(folder, TRAIN_0, train_accuracy=0.75)
    finish(folder, TRAIN_1, train_accuracy=0.25)
    shutil.rmtree(folder.path / TRAIN_1)
    shutil.copytree(folder.path / TRAIN_0, folder.path / TRAIN_1)
    found = {row["cell_id"]: (row["status"], row["train_accuracy"]) for row in read_rows(folder)}
    assert (found[TRAIN_0], found[TRAIN_1]) == (("done", 0.75), ("missing", None))
