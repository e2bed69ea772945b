"""Looking again must give what a first look gives, from as few files as can have changed."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from rc_core.cell_states import read_states
from rc_core.cells import Grid, cell_to_dict
from rc_core.experiment import SweepSpec, empty_row, write_json
from rc_core.recipes import preset
from rc_core.storage import LocalStorage, open_storage
from rc_core.watched_states import WatchedStates

RECIPE = preset("digits").recipe
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5,), seeds=(42,))
TRAIN_0, TRAIN_1, PRUNE_0, PRUNE_1 = (cell.cell_id for cell in GRID.cells())
CELLS = {cell.cell_id: cell for cell in GRID.cells()}


class CountingStorage(LocalStorage):
    """Notes every file that is read, and how long stamps are to take."""

    def __init__(self, path, root=None):
        super().__init__(path)
        self.root = root or self
        if root is None:
            self.read_names, self.num_stamped, self.stamp_seconds = [], 0, 0.0

    def folder(self, name):
        return CountingStorage(self.path / name, self.root)

    def read(self, name):
        self.root.read_names.append(str((self.path / name).relative_to(self.root.path)))
        return super().read(name)

    def stamps(self, names):
        self.root.num_stamped += 1
        time.sleep(self.root.stamp_seconds)
        return super().stamps(names)

    def reads(self):
        names, self.read_names = self.read_names, []
        return sorted(name for name in names if name.partition("/")[0] in CELLS)


@pytest.fixture
def folder(tmp_path):
    storage = CountingStorage(tmp_path / "sweep")
    SweepSpec(RECIPE, [GRID], {}).write(storage)
    return storage


def finish(storage, cell_id, accuracy=1.0):
    row = empty_row(CELLS[cell_id], RECIPE) | {"status": "done", "train_accuracy": accuracy}
    write_json(storage, f"{cell_id}/record.json", {"cell": cell_to_dict(CELLS[cell_id]), "row": row})


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """An hour passes between writing and looking, so that files count as settled."""
    clock = time.time
    monkeypatch.setattr("rc_core.watched_states.time.time", lambda: clock() + 3600)


def look(watched, folder):
    """Statuses and accuracies of a look, which must be those of a first look."""
    found = watched.refresh(now=0)
    names = folder.reads()
    assert found == read_states(LocalStorage(folder.path), now=0)
    return {
        state.row["cell_id"]: (state.row["status"], state.row["train_accuracy"]) for state in found
    }, names


MISSING = ("missing", None)


def test_a_finished_cell_is_read_once(folder):
    finish(folder, TRAIN_0)
    watched = WatchedStates(folder)
    assert look(watched, folder)[1] == [f"{TRAIN_0}/record.json"]
    first = watched.refresh()[0]
    assert look(watched, folder)[1] == []
    assert watched.refresh()[0] is first
    folder.reads()

    finish(folder, PRUNE_0, 0.5)
    write_json(folder, f"{TRAIN_1}/failure.json", {"error": "boom"})
    found, names = look(watched, folder)
    assert found == {
        TRAIN_0: ("done", 1.0),
        TRAIN_1: ("failed", None),
        PRUNE_0: ("done", 0.5),
        PRUNE_1: ("parent-failed", None),
    }
    assert names == [
        f"{PRUNE_0}/record.json",
        f"{TRAIN_1}/attempts.json",
        f"{TRAIN_1}/failure.json",
        f"{TRAIN_1}/record.json",
    ]
    assert not [name for name in names if name.startswith(TRAIN_0)]


def test_replaced_damaged_and_deleted_records_are_noticed(folder):
    finish(folder, TRAIN_0, 0.25)
    finish(folder, TRAIN_1, 0.5)
    watched = WatchedStates(folder)
    look(watched, folder)
    finish(folder, TRAIN_0, 0.75)  # of the same length
    assert look(watched, folder) == (
        {TRAIN_0: ("done", 0.75), TRAIN_1: ("done", 0.5), PRUNE_0: MISSING, PRUNE_1: MISSING},
        [f"{TRAIN_0}/record.json"],
    )
    with (folder.path / TRAIN_1 / "record.json").open("r+b") as file:
        file.write(b"#")
    assert look(watched, folder)[0][TRAIN_1] == MISSING
    shutil.rmtree(folder.path / TRAIN_0)
    assert look(watched, folder)[0][TRAIN_0] == MISSING
    finish(folder, TRAIN_0, 0.125)
    assert look(watched, folder)[0][TRAIN_0] == ("done", 0.125)


def test_a_record_that_was_just_written_is_read_again(folder, monkeypatch):
    monkeypatch.undo()  # no hour passes
    finish(folder, TRAIN_0)
    watched = WatchedStates(folder)
    for _ in range(2):
        assert look(watched, folder)[1] == [f"{TRAIN_0}/record.json"]


def test_an_extended_grid_and_another_recipe_are_noticed(folder):
    finish(folder, TRAIN_0)
    watched = WatchedStates(folder)
    look(watched, folder)
    SweepSpec(RECIPE, [GRID, Grid(randomizations=(0.0,), sparsities=(), seeds=(43,))], {}).write(folder)
    found, names = look(watched, folder)
    assert found["train-p0.00-s43"] == MISSING
    assert names == []
    other = preset("cifar-tiny").recipe
    SweepSpec(other, [GRID], {}).write(folder)
    assert watched.refresh()[1].row["recipe"] == "cifar-tiny"
    os.remove(folder.path / "sweep.json")
    assert [state.row["cell_id"] for state in watched.refresh()] == [TRAIN_0]  # a folder of single cells
    shutil.rmtree(folder.path)
    with pytest.raises(FileNotFoundError, match="no experiment here"):
        watched.refresh()


def test_slow_stamps_are_asked_for_now_and_then(folder, monkeypatch):
    finish(folder, TRAIN_0, 0.25)
    watched = WatchedStates(folder)
    folder.stamp_seconds = 0.6
    watched.refresh()
    folder.stamp_seconds = 0.0
    assert folder.num_stamped == 1
    finish(folder, TRAIN_0, 0.5)
    finish(folder, TRAIN_1, 0.75)
    first, second, *_ = watched.refresh()
    # .6 s are 5% of 12 s: until then the first cell counts as unchanged, and the second is new.
    assert folder.num_stamped == 1
    assert (first.row["train_accuracy"], second.row["train_accuracy"]) == (0.25, 0.75)
    shutil.rmtree(folder.path / TRAIN_1)
    assert watched.refresh()[1].row["status"] == "missing"
    clock = time.monotonic
    monkeypatch.setattr("rc_core.watched_states.time.monotonic", lambda: clock() + 13)
    assert watched.refresh()[0].row["train_accuracy"] == 0.5
    assert folder.num_stamped == 2


def test_object_storage_gives_the_same_states(s3_uri):
    storage = open_storage(s3_uri)
    SweepSpec(RECIPE, [GRID], {}).write(storage)
    finish(storage, TRAIN_0, 0.25)
    watched = WatchedStates(storage)
    for accuracy in (0.25, 0.5, 0.125):
        finish(storage, TRAIN_0, accuracy)
        assert watched.refresh(now=0) == read_states(storage, now=0)
    storage.delete(TRAIN_0)
    assert watched.refresh(now=0)[0].row["status"] == "missing"
