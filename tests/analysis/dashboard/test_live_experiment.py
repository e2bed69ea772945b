from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from analysis.dashboard.live_experiment import LiveExperiment, counts_of
from rc_core.cells import Grid
from rc_core.experiment import DRIVER_FILE, FAILURE_FILE, HISTORY_FILE, RECORD_FILE, write_json
from rc_core.recipes import preset
from rc_core.stamps import SETTLED_SECONDS, FileStamp
from rc_core.storage import LocalStorage
from tests.analysis.conftest import MakeSweep, history_of, record_of

GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
LAST = "prune-p1.00-s42-dns-S0.900"


class CountingStorage(LocalStorage):
    """Counts what is read, by file name."""

    reads: ClassVar[Counter[str]] = Counter()

    def folder(self, name: str) -> CountingStorage:
        return CountingStorage(self.path / name)

    def read(self, name: str) -> bytes:
        self.reads[name] += 1
        return super().read(name)

    def stamps(self, names: Sequence[str]) -> list[FileStamp | None]:
        """As if every file had been written a while ago: only such stamps are relied on."""
        aged = []
        for stamp in super().stamps(names):
            past = 2 * round(SETTLED_SECONDS * 1e9)
            aged.append(
                stamp
                and stamp._replace(modified_ns=stamp.modified_ns - past, changed_ns=stamp.changed_ns - past)
            )
        return aged


def live(folder: Path) -> LiveExperiment:
    return LiveExperiment(CountingStorage(folder), folder.name, max_age_seconds=0)


def finish(folder: Path, cell_id: str) -> None:
    recipe = preset("digits").recipe
    cell = next(cell for cell in GRID.cells() if cell.cell_id == cell_id)
    storage = LocalStorage(folder / cell_id)
    write_json(storage, HISTORY_FILE, history_of(cell, recipe, 0.25))
    write_json(storage, RECORD_FILE, record_of(cell, recipe, 0.25))


def test_counts_move_when_a_cell_finishes_and_only_that_cell_is_read(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, missing=[LAST])
    experiment = live(folder)
    first = experiment.snapshot()
    assert counts_of(first.states) == {"done": 5, "missing": 1}
    assert experiment.snapshot().version == first.version
    CountingStorage.reads.clear()
    finish(folder, LAST)
    second = experiment.snapshot()
    assert counts_of(second.states) == {"done": 6}
    assert second.version == first.version + 1
    assert CountingStorage.reads[RECORD_FILE] == 1
    row = second.data.frame.set_index("cell_id").loc[LAST]
    assert row["train_accuracy"] == 0.25


def test_unchanged_experiments_are_not_read_again(make_sweep: MakeSweep) -> None:
    experiment = live(make_sweep(grid=GRID))
    before = experiment.snapshot()
    CountingStorage.reads.clear()
    after = experiment.snapshot()
    assert CountingStorage.reads[RECORD_FILE] == 0
    assert after.data is before.data


def test_curves_are_read_once_a_cell(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, missing=[LAST])
    experiment = live(folder)
    ids = [cell.cell_id for cell in GRID.cells()]
    CountingStorage.reads.clear()
    assert experiment.snapshot().data.history(ids[:5])["cell_id"].nunique() == 5
    assert CountingStorage.reads[HISTORY_FILE] == 5
    finish(folder, LAST)
    history = experiment.snapshot().data.history(ids)
    assert history["cell_id"].value_counts().to_dict() == dict.fromkeys(ids, 5)
    assert CountingStorage.reads[HISTORY_FILE] == 6


def test_readers_within_some_seconds_share_one_look(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, missing=[LAST])
    experiment = LiveExperiment(LocalStorage(folder), "digits", max_age_seconds=60)
    before = experiment.snapshot()
    finish(folder, LAST)
    assert experiment.snapshot() is before
    assert counts_of(experiment.snapshot(fresh=True).states) == {"done": 6}


def test_a_sweep_that_starts_later(tmp_path: Path, make_sweep: MakeSweep) -> None:
    experiment = live(tmp_path / "digits")
    nothing = experiment.snapshot()
    assert (nothing.states, nothing.looked_seconds) == ((), 0)
    assert nothing.problem.endswith("digits: nothing here yet")
    assert len(nothing.data.frame) == 0
    make_sweep(grid=GRID)
    there = experiment.snapshot()
    assert (len(there.states), there.problem) == (6, "")
    assert there.spec is not None


def test_a_deleted_experiment_is_shown_as_it_was(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID)
    experiment = live(folder)
    before = experiment.snapshot()
    shutil.rmtree(folder)
    after = experiment.snapshot()
    assert after.states == before.states
    assert after.problem.endswith("the experiment is gone")
    assert after.looked_seconds == before.looked_seconds


@pytest.mark.parametrize("name", ["sweep.json", DRIVER_FILE])
def test_a_torn_file_leaves_what_is_known_and_heals(make_sweep: MakeSweep, name: str) -> None:
    folder = make_sweep(grid=GRID, running=[LAST])
    experiment = live(folder)
    before = experiment.snapshot()
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    torn = experiment.snapshot()
    assert torn.states == before.states
    assert name in torn.problem
    (folder / name).write_bytes(whole)
    assert experiment.snapshot().problem == ""


def test_a_half_written_record_is_that_cell_alone(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID)
    record = folder / LAST / RECORD_FILE
    record.write_bytes(record.read_bytes()[:40])
    shot = live(folder).snapshot()
    assert counts_of(shot.states) == {"done": 5, "missing": 1}
    assert "record.json is damaged" in shot.state(LAST).row["error"]  # type: ignore[union-attr]


def test_a_record_with_values_of_another_kind_hides_no_other(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, changes={LAST: {"train_accuracy": "<b>", "seed": None}})
    experiment = live(folder)
    shot = experiment.snapshot()
    assert counts_of(shot.states) == {"done": 5, "missing": 1}
    row = shot.state(LAST).row  # type: ignore[union-attr]
    assert (row["seed"], row["randomization"], row["train_accuracy"]) == (42, 1.0, None)
    assert "train_accuracy cannot be read" in row["error"]
    assert experiment.snapshot().version == shot.version


def test_driver_states(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, running=[LAST])
    experiment = live(folder)
    assert experiment.snapshot().driver_state == "alive"
    beat = {"time": time.time() - 3600, "host": "lab", "pid": 1, "started": 0.0, "ended": None}
    write_json(LocalStorage(folder), DRIVER_FILE, beat | {"running": [LAST], "num_slots": 2})
    silent = experiment.snapshot()
    assert (silent.driver_state, counts_of(silent.states)["missing"]) == ("silent", 1)
    write_json(LocalStorage(folder), DRIVER_FILE, beat | {"ended": 5.0, "running": [], "num_slots": 2})
    assert experiment.snapshot().driver_state == "ended"


def test_failed_cells_and_their_children(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID, failures={"train-p1.00-s42": "RuntimeError: no"})
    shot = live(folder).snapshot()
    assert counts_of(shot.states) == {"done": 3, "failed": 1, "parent-failed": 2}
    (folder / "train-p1.00-s42" / FAILURE_FILE).write_text("{")
    assert "damaged" in live(folder).snapshot().state("train-p1.00-s42").row["error"]  # type: ignore[union-attr]


class SlowStorage(LocalStorage):
    gate = threading.Event()
    is_waiting = threading.Event()

    def names(self) -> list[str]:
        self.is_waiting.set()
        assert self.gate.wait(30)
        return super().names()


@pytest.mark.timeout(60)
def test_nobody_waits_for_somebody_elses_look(make_sweep: MakeSweep) -> None:
    SlowStorage.gate.set()
    experiment = LiveExperiment(SlowStorage(make_sweep(grid=GRID)), "digits", max_age_seconds=0)
    before = experiment.snapshot()
    SlowStorage.gate.clear()
    SlowStorage.is_waiting.clear()
    slow = threading.Thread(target=experiment.snapshot)
    slow.start()
    assert SlowStorage.is_waiting.wait(30)
    assert experiment.snapshot() is before
    SlowStorage.gate.set()
    slow.join(30)
    assert experiment.snapshot().looked_seconds > before.looked_seconds
