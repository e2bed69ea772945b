import pytest

from rc_core import experiment
from rc_core.cells import Grid, PruneCell, TrainCell, cell_to_dict
from rc_core.experiment import (
    COLUMNS,
    STATUSES,
    DamagedFileError,
    SweepSpec,
    empty_row,
    read_driver,
    read_json,
    read_records,
    write_json,
)
from rc_core.recipes import preset
from rc_core.storage import LocalStorage

RECIPE = preset("digits").recipe


# Users' scripts rest on these names and their order.
def test_the_columns_are_frozen():
    assert list(COLUMNS) == [
        *("cell_id", "phase", "status", "recipe", "dataset", "model", "pruner", "noise"),
        *("randomization", "randomization_actual", "seed", "sparsity_target", "sparsity"),
        *("parent_id", "parent_sha256", "steps", "train_accuracy", "train_loss", "test_accuracy"),
        *("accuracy_kept", "accuracy_redrawn", "accuracy_true", "wall_seconds", "images_per_second"),
        *("device", "threads", "label_sha256", "data_sha256", "code_version", "error"),
        *("stacked", "precision"),
    ]
    assert len(COLUMNS) == 32


def test_the_statuses_are_frozen():
    assert STATUSES == ("done", "running", "failed", "parent-failed", "missing")


def test_the_files_names_are_frozen():
    names = ("SWEEP_FILE", "DRIVER_FILE", "RECORD_FILE", "HISTORY_FILE", "FAILURE_FILE")
    assert [getattr(experiment, name) for name in names] == [
        "sweep.json",
        "driver.json",
        "record.json",
        "history.json",
        "failure.json",
    ]


def test_the_row_of_a_training_of_which_nothing_is_known():
    row = empty_row(TrainCell(randomization=0.5, seed=42), RECIPE)
    assert tuple(row) == COLUMNS
    assert {name: value for name, value in row.items() if value is not None} == {
        "cell_id": "train-p0.50-s42",
        "phase": "train",
        "status": "missing",
        "recipe": "digits",
        "dataset": "digits",
        "model": "resnet8-w8",
        "noise": "symmetric",
        "randomization": 0.5,
        "seed": 42,
    }


def test_the_row_of_a_pruning_of_which_nothing_is_known():
    row = empty_row(PruneCell(randomization=0.5, seed=42, sparsity=0.9), RECIPE)
    assert tuple(row) == COLUMNS
    assert {name: value for name, value in row.items() if value is not None} == {
        "cell_id": "prune-p0.50-s42-dns-S0.900",
        "phase": "prune",
        "status": "missing",
        "recipe": "digits",
        "dataset": "digits",
        "model": "resnet8-w8",
        "noise": "symmetric",
        "randomization": 0.5,
        "seed": 42,
        "pruner": "dns",
        "sparsity_target": 0.9,
        "parent_id": "train-p0.50-s42",
    }


GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


@pytest.fixture
def folder(tmp_path) -> LocalStorage:
    """A sweep of two trainings and four prunings of which none has begun."""
    storage = LocalStorage(tmp_path / "sweep")
    SweepSpec(RECIPE, [GRID], {"code_version": "0"}).write(storage)
    return storage


def test_a_heartbeat_counts_for_a_minute(folder):
    assert read_driver(folder) is None
    folder.write("driver.json", b'{"time": 1000.0, "running": ["a"]}')
    for now, alive in ((1000, True), (1060, True), (1060.5, False), (990, True)):
        found = read_driver(folder, now=now)
        assert found == ({"time": 1000.0, "running": ["a"]} if alive else None)


# The files themselves


def test_a_sweep_s_description_survives_writing_and_reading(folder):
    other = Grid(randomizations=(0.3,), sparsities=(), seeds=(1, 2))
    SweepSpec(preset("paper").recipe, [GRID, other], {"host": "a", "data": {"train": "00"}}).write(folder)
    found = SweepSpec.read(folder)
    assert found is not None
    assert found.recipe == preset("paper").recipe
    assert found.grids == [GRID, other]
    assert found.provenance == {"host": "a", "data": {"train": "00"}}
    assert len(found.cells()) == 8
    assert SweepSpec.read(LocalStorage(folder.path / "nowhere")) is None


def test_records_are_read_of_finished_cells_only(folder):
    done, failed, not_begun = (cell.cell_id for cell in GRID.cells()[:3])
    row = empty_row(GRID.cells()[0], RECIPE)
    write_json(folder, f"{done}/record.json", {"cell": cell_to_dict(GRID.cells()[0]), "row": row})
    write_json(folder, f"{failed}/failure.json", {"error": "error"})
    found = read_records(folder, [done, failed, not_begun])
    assert list(found) == [done]
    assert found[done]["cell"] == {"phase": "train", "randomization": 0.0, "seed": 42}


def test_json_is_written_whole_and_without_nan(tmp_path):
    storage = LocalStorage(tmp_path)
    value = {"a": [1, 2.5, None, True, "ä"], "b": {"c": 0.1}}
    write_json(storage, "x.json", value)
    assert read_json(storage, "x.json") == value
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(storage, "x.json", {"loss": bad})
    assert read_json(storage, "x.json") == value
    assert storage.names() == ["x.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe{}"])
def test_damaged_json_is_named_with_what_to_do(tmp_path, content):
    LocalStorage(tmp_path).write("cell/record.json", content)
    with pytest.raises(DamagedFileError, match=r"cell/record\.json: not valid JSON .*remove the file"):
        read_json(LocalStorage(tmp_path / "cell"), "record.json")


@pytest.mark.parametrize("content", [b"[1]", b"3", b"null"])
def test_json_that_is_no_object_is_named(tmp_path, content):
    LocalStorage(tmp_path).write("record.json", content)
    with pytest.raises(DamagedFileError, match=r"record\.json: a JSON object was expected"):
        read_json(LocalStorage(tmp_path), "record.json")


def test_missing_json_is_none(tmp_path):
    (tmp_path / "file").touch()
    assert read_json(LocalStorage(tmp_path), "record.json") is None
    assert read_json(LocalStorage(tmp_path / "nowhere"), "record.json") is None
    assert read_json(LocalStorage(tmp_path / "file"), "record.json") is None
