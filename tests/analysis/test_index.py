"""With the index, reading must give what it gives without, whatever happens to the experiment's files."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import index
from analysis.attempts import load_attempts
from analysis.results import DTYPES, HISTORY_DTYPES, load, load_history
from rc_core.cells import Grid, PruneCell, cell_to_dict
from rc_core.experiment import (
    DRIVER_FILE,
    FAILURE_FILE,
    HISTORY_FILE,
    RECORD_FILE,
    SweepSpec,
    empty_row,
    write_json,
)
from rc_core.recipes import preset
from rc_core.storage import LocalStorage, Storage, open_storage

RECIPE = preset("digits").recipe
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
CELLS = {cell.cell_id: cell for cell in GRID.cells()}
TRAIN_0, TRAIN_1, *PRUNINGS = CELLS
MOMENTS = itertools.count(1_000_000_000, 10)


@pytest.fixture(autouse=True)
def every_cell_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An index from the first cell on, files that count as settled at once, and a cache of one's own."""
    monkeypatch.setattr(index, "_FEW_CELLS", 0)
    monkeypatch.setattr(index, "_FEW_SHARE", 0)
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "cache"))
    clock = time.time
    for module in ("analysis.cell_table", "analysis.curve_table"):
        monkeypatch.setattr(f"{module}.time.time", lambda: clock() + 3600)


def new_sweep(storage: Storage) -> None:
    SweepSpec(RECIPE, [GRID], {}).write(storage)


def finish(storage: Storage, cell_id: str, accuracy: float = 1.0, num_points: int = 2) -> None:
    cell = CELLS[cell_id]
    row = empty_row(cell, RECIPE) | {"status": "done", "train_accuracy": accuracy, "steps": 600}
    row["stacked"] = bool(num_points % 2)
    columns: dict[str, list[Any]] = {
        "step": list(range(1, num_points + 1)),
        "train_accuracy": [accuracy] * num_points,
    }
    if isinstance(cell, PruneCell):
        columns["num_pruned"] = [7] * (num_points - 1) + [None] * (num_points > 0)
    begun = {"started": "2026-01-01T00:00:00+00:00", "host": "lab", "pid": 1}
    provenance = {"attempts": [begun], "ended": "2026-01-01T00:01:00+00:00"}
    write_json(storage, f"{cell_id}/{HISTORY_FILE}", {"format": 1, "columns": columns})
    record = {"row": row, "cell": cell_to_dict(cell), "provenance": provenance}
    write_json(storage, f"{cell_id}/{RECORD_FILE}", record)


def give_own_times(path: Path) -> None:
    """Another time of change to every file: nothing here depends on how fine the file system's clock is."""
    for file in path.rglob("*.json"):
        if file.stat().st_mtime > 1.5e9:
            os.utime(file, (next(MOMENTS),) * 2)


def assert_same(location: str | Path, cell_ids: list[str] | None = None) -> None:
    """With the index as without it; errors too."""

    def outcome(use_index: bool) -> Any:
        try:
            return load_history(location, cell_ids, use_index=use_index)
        except ValueError as error:
            return str(error)

    pd.testing.assert_frame_equal(load(location), load(location, use_index=False))
    expected, found = outcome(False), outcome(True)
    if isinstance(expected, str):
        assert found == expected
    else:
        pd.testing.assert_frame_equal(found, expected)


# What may happen to an experiment


def fail(storage: LocalStorage, cell_id: str, number: int) -> None:
    write_json(storage, f"{cell_id}/{FAILURE_FILE}", {"error": f"boom {number}"})


def delete(storage: LocalStorage, cell_id: str, number: int) -> None:
    storage.delete(cell_id)


def damage(name: str) -> Any:
    def cut(storage: LocalStorage, cell_id: str, number: int) -> None:
        file = storage.path / cell_id / name
        if file.exists():  # in place, as a failing disk does
            with file.open("r+b") as content:
                content.truncate(number)

    return cut


def delete_curves(storage: LocalStorage, cell_id: str, number: int) -> None:
    storage.delete(f"{cell_id}/{HISTORY_FILE}")


def run(storage: LocalStorage, cell_id: str, number: int) -> None:
    write_json(storage, DRIVER_FILE, {"time": time.time(), "running": [cell_id], "ended": None})


def move(storage: LocalStorage, cell_id: str, number: int) -> None:
    shutil.move(storage.path, storage.path.with_name(f"moved-{number}"))
    storage.path = storage.path.with_name(f"moved-{number}")


def copy(storage: LocalStorage, cell_id: str, number: int) -> None:
    to = storage.path.with_name(f"copy-{next(MOMENTS)}")
    shutil.copytree(storage.path, to)
    shutil.rmtree(storage.path)
    storage.path = to


def delete_index(storage: LocalStorage, cell_id: str, number: int) -> None:
    shutil.rmtree(storage.path / index.FOLDER, ignore_errors=True)


def damage_index(storage: LocalStorage, cell_id: str, number: int) -> None:
    for file in (storage.path / index.FOLDER).glob("*"):
        content = bytearray(file.read_bytes())
        content[number * 17 % len(content)] ^= 1 << number % 8
        file.write_bytes(content)


def extend(storage: LocalStorage, cell_id: str, number: int) -> None:
    more = Grid(randomizations=(0.0,), sparsities=(0.5,), seeds=(42, 43 + number))
    SweepSpec(RECIPE, [GRID, more], {}).write(storage)


def rename_recipe(storage: LocalStorage, cell_id: str, number: int) -> None:
    SweepSpec(preset("cifar-tiny").recipe, [GRID], {}).write(storage)


def complete(storage: LocalStorage, cell_id: str, number: int) -> None:
    finish(storage, cell_id, number / 8, number)


CHANGES = (
    *[complete] * 4,
    *(fail, delete, damage(RECORD_FILE), damage(HISTORY_FILE), delete_curves, run, move, copy),
    *(delete_index, damage_index, extend, rename_recipe),
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(CHANGES), st.sampled_from(list(CELLS)), st.integers(0, 8), st.booleans()),
        min_size=2,
        max_size=12,
    )
)
def test_any_sequence_of_changes(changes: list[tuple[Any, str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        storage = LocalStorage(Path(root) / "sweep")
        new_sweep(storage)
        for cell_id in (TRAIN_0, *PRUNINGS[:2]):
            finish(storage, cell_id)
        give_own_times(storage.path)
        assert_same(storage.path)
        for change, cell_id, number, is_looked_at in changes:
            change(storage, cell_id, number)
            give_own_times(storage.path)
            if is_looked_at:
                assert_same(storage.path)
        assert_same(storage.path)
        assert_same(storage.path)  # and from the index that the one before wrote


# What is read


@pytest.fixture
def sweep(tmp_path: Path) -> LocalStorage:
    """Trainings and two prunings are done, one failed, one has not begun; nothing is indexed yet."""
    storage = LocalStorage(tmp_path / "sweep")
    new_sweep(storage)
    for number, cell_id in enumerate((TRAIN_0, TRAIN_1, *PRUNINGS[:2])):
        finish(storage, cell_id, number / 8)
    write_json(storage, f"{PRUNINGS[2]}/{FAILURE_FILE}", {"error": "boom"})
    return storage


class Reads:
    """The cells' files that are read, since one asked last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._names: list[str] = []
        read = LocalStorage.read

        def note(storage: LocalStorage, name: str) -> bytes:
            path = storage.path / name
            if path.parent.name in CELLS:
                self._names.append(f"{path.parent.name}/{path.name}")
            return read(storage, name)

        monkeypatch.setattr(LocalStorage, "read", note)

    def take(self) -> list[str]:
        names, self._names = sorted(self._names), []
        return names


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


UNFINISHED = [f"{PRUNINGS[2]}/{name}" for name in ("attempts.json", "failure.json", "record.json")]


def load_both(location: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = load(location)
    return frame, load_history(location, frame.loc[frame["status"] == "done", "cell_id"])


def test_a_finished_cell_is_opened_once(sweep: LocalStorage, reads: Reads) -> None:
    first = load_both(sweep.path)
    done = [TRAIN_0, TRAIN_1, *PRUNINGS[:2]]
    assert reads.take() == sorted(
        [f"{cell_id}/{name}" for cell_id in done for name in (RECORD_FILE, HISTORY_FILE)] + UNFINISHED
    )
    for found, expected in zip(load_both(sweep.path), first, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert reads.take() == UNFINISHED
    load_attempts(sweep.path)
    assert reads.take() == UNFINISHED

    finish(sweep, PRUNINGS[3], 0.75)
    frame, history = load_both(sweep.path)
    assert frame.set_index("cell_id").loc[PRUNINGS[3], "train_accuracy"] == 0.75
    assert len(history) == 10
    assert reads.take() == sorted(
        [f"{PRUNINGS[3]}/{RECORD_FILE}", f"{PRUNINGS[3]}/{HISTORY_FILE}", *UNFINISHED]
    )


def test_the_tables_are_those_of_the_files(sweep: LocalStorage) -> None:
    """Against the files themselves, read in the plainest way."""
    rows, curves = [], []
    for cell_id, cell in CELLS.items():
        file = sweep.path / cell_id / RECORD_FILE
        if file.exists():
            rows.append(json.loads(file.read_text())["row"])
            columns = json.loads(file.with_name(HISTORY_FILE).read_text())["columns"]
            curves.append(pd.DataFrame({"cell_id": cell_id} | columns))
        else:
            is_failed = (sweep.path / cell_id / FAILURE_FILE).exists()
            state = {"status": "failed", "error": "boom"} if is_failed else {}
            rows.append(empty_row(cell, RECIPE) | state)
    expected = pd.DataFrame(rows).astype(DTYPES)[list(DTYPES)]
    long = pd.concat(curves, ignore_index=True).reindex(columns=list(HISTORY_DTYPES)).astype(HISTORY_DTYPES)
    for _ in range(2):
        frame, history = load_both(sweep.path)
        pd.testing.assert_frame_equal(frame, expected)
        pd.testing.assert_frame_equal(history, long)
    assert len(load_attempts(sweep.path).attempts) == 4


def test_curves_of_some_cells_in_any_order(sweep: LocalStorage, reads: Reads) -> None:
    some = [PRUNINGS[1], TRAIN_0, PRUNINGS[3]]
    first = load_history(sweep.path, some)
    assert list(dict.fromkeys(first["cell_id"])) == some[:2]  # the third has none
    load_history(sweep.path, [TRAIN_1])
    reads.take()
    pd.testing.assert_frame_equal(load_history(sweep.path, some), first)
    assert load_history(sweep.path, [TRAIN_1])["train_accuracy"].tolist() == [0.125] * 2
    assert reads.take() == [f"{PRUNINGS[3]}/{HISTORY_FILE}"]
    assert len(load_history(sweep.path, [])) == 0


def test_a_cell_deleted_and_run_again(sweep: LocalStorage) -> None:
    load_both(sweep.path)
    sweep.delete(TRAIN_1)
    assert load(sweep.path)["status"].tolist()[:2] == ["done", "missing"]
    finish(sweep, TRAIN_1, 0.5)
    frame, history = load_both(sweep.path)
    assert frame["train_accuracy"].tolist()[:2] == [0.0, 0.5]
    assert history.loc[history["cell_id"] == TRAIN_1, "train_accuracy"].tolist() == [0.5, 0.5]


def test_what_an_older_record_lacks_comes_from_the_recipe_of_today(sweep: LocalStorage) -> None:
    file = sweep.path / TRAIN_0 / RECORD_FILE
    record = json.loads(file.read_text())
    del record["row"]["dataset"], record["row"]["error"]
    write_json(sweep, f"{TRAIN_0}/{RECORD_FILE}", record)
    for name in ("digits", "cifar-tiny", "digits"):
        SweepSpec(preset(name).recipe, [GRID], {}).write(sweep)
        dataset = preset(name).recipe.dataset
        assert load(sweep.path)["dataset"].tolist()[:2] == [dataset, "digits"]
        assert_same(sweep.path)


def test_a_record_damaged_in_place_with_its_times_set_back(sweep: LocalStorage) -> None:
    file = sweep.path / TRAIN_1 / RECORD_FILE
    load_both(sweep.path)
    before = file.stat()
    time.sleep(0.02)  # a tick of the coarsest clock in use
    with file.open("r+b") as content:
        content.write(b"#")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert load(sweep.path)["error"][1].startswith("record.json is damaged")


def test_a_file_that_was_just_written_is_not_trusted_yet(
    sweep: LocalStorage, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "analysis.cell_table.time.time", lambda: (sweep.path / "sweep.json").stat().st_mtime + 4
    )
    load(sweep.path)
    assert not (sweep.path / index.FOLDER).exists()
    reads.take()
    load(sweep.path)
    assert len(reads.take()) == 4 + 3


def test_few_new_cells_do_not_write_the_index_anew(
    sweep: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [index.is_worth_writing(num_new, 10_000) for num_new in (0, 1, 10_000)] == [False, True, True]
    monkeypatch.undo()
    assert [index.is_worth_writing(num_new, 50) for num_new in (50, 64, 65)] == [False, False, True]
    assert [index.is_worth_writing(num_new, 10_000) for num_new in (65, 100, 101)] == [False, False, True]


# The file


def written(storage: LocalStorage) -> list[Path]:
    return sorted((storage.path / index.FOLDER).iterdir())


def spoil(how: str, content: bytes) -> bytes:
    if how == "version":
        return content.replace(b"rcsweep-index-1", b"rcsweep-index-0", 1)
    if how == "bit":
        return content[:-9] + bytes([content[-9] ^ 4]) + content[-8:]
    if how == "alien":  # e.g. of an Arrow that this one cannot read
        kind = content[len(b"rcsweep-index-1 ") :][:16]
        return f"rcsweep-index-1 {kind.decode()} {crc32c(b'alien'):08x}".ljust(63).encode() + b"\nalien"
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "other": b"PAR1" + content,
        "head": content[:64],
    }[how]


@pytest.mark.parametrize("how", ["version", "bit", "empty", "cut", "other", "head", "alien"])
def test_a_damaged_index_is_as_good_as_none_and_is_built_again(
    sweep: LocalStorage, reads: Reads, how: str
) -> None:
    expected = load_both(sweep.path)
    assert [file.name for file in written(sweep)] == ["cells.arrow", "curves.arrow"]
    for file in written(sweep):
        file.write_bytes(spoil(how, file.read_bytes()))
    reads.take()
    for num_reads in (4 * 2 + 3, 3):
        for found, first in zip(load_both(sweep.path), expected, strict=True):
            pd.testing.assert_frame_equal(found, first)
        assert len(reads.take()) == num_reads


def test_the_index_knows_no_path_and_is_not_among_the_names(sweep: LocalStorage) -> None:
    load_both(sweep.path)
    assert index.FOLDER not in sweep.names()
    for file in written(sweep):
        assert str(sweep.path.parent).encode() not in file.read_bytes()


def test_an_experiment_deleted_meanwhile_does_not_come_back(sweep: LocalStorage, tmp_path: Path) -> None:
    load_both(sweep.path)
    table = index.IndexFile(sweep, "cells", "kind")
    shutil.rmtree(sweep.path)
    table.write(pa.table({"cell_id": ["a"]}))
    assert not sweep.path.exists()
    assert [file.name for file in (tmp_path / "cache").rglob("*.arrow")] == ["cells.arrow"]


def test_single_cells_have_no_index(sweep: LocalStorage) -> None:
    os.remove(sweep.path / "sweep.json")
    load_both(sweep.path)
    load_both(sweep.path / TRAIN_0)
    assert not list(sweep.path.rglob(index.FOLDER))


def test_where_the_folder_cannot_be_written_the_index_is_in_the_cache(
    sweep: LocalStorage, reads: Reads, tmp_path: Path
) -> None:
    (sweep.path / index.FOLDER).write_bytes(b"")  # no folder can be made here, not even by root
    first = load_both(sweep.path)
    names = [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert sorted(names) == ["cells.arrow", "curves.arrow"]
    reads.take()
    for found, expected in zip(load_both(sweep.path), first, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert reads.take() == UNFINISHED

    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_bytes(b"")
    assert len(load_both(sweep.path)[0]) == 6  # without any index


def test_readers_and_writers_at_a_time(sweep: LocalStorage) -> None:
    errors: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(15):
                frame, history = load_both(sweep.path)
                is_done = frame["status"] == "done"
                assert is_done.sum() >= 4
                assert set(history["cell_id"]) == set(frame.loc[is_done, "cell_id"])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        finish(sweep, PRUNINGS[number % 2 + 2], number / 16)
        shutil.rmtree(sweep.path / index.FOLDER, ignore_errors=True)
    for thread in threads:
        thread.join()
    assert errors == []
    assert_same(sweep.path)


def test_object_storage_is_indexed_in_the_cache(s3_uri: str, s3_server: Any, tmp_path: Path) -> None:
    storage = open_storage(s3_uri)
    new_sweep(storage)
    for number, cell_id in enumerate((TRAIN_0, TRAIN_1, *PRUNINGS[:2])):
        finish(storage, cell_id, number / 8)
    assert_same(s3_uri)
    assert len([file for file in (tmp_path / "cache").rglob("*") if file.is_file()]) == 2
    assert storage.names() == sorted([*list(CELLS)[:4], "sweep.json"])

    before = len(s3_server.requests())
    load_both(s3_uri)
    asked = s3_server.requests()[before:]
    assert not [
        request
        for request in asked
        if request.startswith("GET") and "json" in request and "/train" in request
    ]

    finish(storage, TRAIN_0, 0.625, 3)
    assert load(s3_uri)["train_accuracy"][0] == 0.625
    assert_same(s3_uri)
    storage.delete(TRAIN_1)
    finish(storage, PRUNINGS[3], 0.25)
    assert_same(s3_uri)
    storage.write(f"{PRUNINGS[0]}/{RECORD_FILE}", b"{")
    assert_same(s3_uri)


def dtypes_of(frame: pd.DataFrame) -> Iterator[str]:
    return (str(dtype) for dtype in frame.dtypes)


def test_an_experiment_without_a_finished_cell(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "sweep")
    new_sweep(storage)
    for _ in range(2):
        frame, history = load_both(storage.path)
        assert list(frame["status"]) == ["missing"] * 6
        assert list(dtypes_of(frame)) == list(DTYPES.values())
        assert list(dtypes_of(history)) == list(HISTORY_DTYPES.values())
