from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.results import (
    DTYPES,
    HISTORY_DTYPES,
    experiment_name,
    export,
    load,
    load_history,
    load_spec,
    rows_to_frame,
)
from rc_core.cells import Grid
from rc_core.experiment import COLUMNS
from rc_core.recipes import preset
from rc_core.storage import LocalStorage

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def dtypes_of(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_full_sweep_has_a_row_a_cell_in_grid_order(make_sweep: Any) -> None:
    frame = load(make_sweep())
    assert list(frame.columns) == list(COLUMNS)
    assert dtypes_of(frame) == DTYPES
    assert len(frame) == 9 + 45
    assert list(frame["cell_id"][:4]) == [
        "train-p0.00-s42",
        "train-p0.50-s42",
        "train-p1.00-s42",
        "train-p0.00-s43",
    ]
    assert set(frame["status"]) == {"done"}
    cell = frame.set_index("cell_id").loc["prune-p1.00-s44-dns-S0.900"]
    assert cell["train_accuracy"] == 0.2
    assert cell["sparsity_target"] == 0.9
    assert cell["sparsity"] == 0.89
    assert cell["parent_id"] == "train-p1.00-s44"
    assert cell["steps"] == 500
    assert pd.isna(cell["accuracy_kept"])  # nothing is kept at p = 1


def test_unfinished_cells_have_rows(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=SMALL,
            failures={"train-p1.00-s42": "OutOfMemoryError: 3 GiB"},
            missing=["prune-p0.00-s42-dns-S0.500"],
            running=["prune-p0.00-s42-dns-S0.900"],
        )
    )
    assert dtypes_of(frame) == DTYPES
    states = {row.cell_id: (row.status, row.error) for row in frame.fillna({"error": ""}).itertuples()}
    assert states == {
        "train-p0.00-s42": ("done", ""),
        "train-p1.00-s42": ("failed", "OutOfMemoryError: 3 GiB"),
        "prune-p0.00-s42-dns-S0.500": ("missing", ""),
        "prune-p0.00-s42-dns-S0.900": ("running", ""),
        "prune-p1.00-s42-dns-S0.500": ("parent-failed", "train-p1.00-s42: OutOfMemoryError: 3 GiB"),
        "prune-p1.00-s42-dns-S0.900": ("parent-failed", "train-p1.00-s42: OutOfMemoryError: 3 GiB"),
    }
    missing = frame[frame["status"] == "missing"].iloc[0]
    assert (missing["randomization"], missing["seed"], missing["model"]) == (0.0, 42, "resnet8-w8")


def test_sweep_without_results_has_the_same_dtypes(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=SMALL, missing=[cell.cell_id for cell in SMALL.cells()]))
    assert list(frame["status"]) == ["missing"] * 6
    assert dtypes_of(frame) == DTYPES
    assert dtypes_of(rows_to_frame([])) == DTYPES


def test_moved_folder_storage_and_uri_give_the_same_table(make_sweep: Any, tmp_path: Path) -> None:
    path = make_sweep(grid=SMALL)
    before = load(path)
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.move(path, moved)
    for location in (moved, str(moved), LocalStorage(moved), moved.as_uri()):
        pd.testing.assert_frame_equal(load(location), before)
    assert experiment_name(moved) == "renamed"
    assert experiment_name("s3://bucket/some/name?region=x") == "name"


def test_folder_of_single_cells_and_one_cell(make_sweep: Any) -> None:
    path = make_sweep(grid=SMALL, with_spec=False)
    frame = load(path)
    assert len(frame) == 6
    assert load_spec(path) is None
    cell = path / "train-p1.00-s42"
    assert list(load(cell)["cell_id"]) == ["train-p1.00-s42"]
    assert list(load_history(cell)["step"]) == [120, 240, 360, 480, 600]


def test_spec_says_what_was_asked_for(make_sweep: Any) -> None:
    spec = load_spec(make_sweep(grid=SMALL))
    assert spec is not None
    assert spec.recipe == preset("digits").recipe
    assert spec.grids == [SMALL]
    assert spec.provenance["sweep_seconds"] == 171.5


def test_history_is_long_and_typed(make_sweep: Any) -> None:
    path = make_sweep(grid=SMALL, missing=["prune-p0.00-s42-dns-S0.500"])
    history = load_history(path)
    assert dtypes_of(history) == HISTORY_DTYPES
    assert len(history) == 5 * 5
    child = history[history["cell_id"] == "prune-p1.00-s42-dns-S0.900"]
    assert list(child["step"]) == [100, 200, 300, 400, 500]
    assert child["train_accuracy"].iloc[-1] == pytest.approx(0.118)
    assert list(child["num_spliced"]) == [7] * 5
    parent = history[history["cell_id"] == "train-p1.00-s42"]
    assert parent["num_spliced"].isna().all()
    only = load_history(path, ["train-p0.00-s42", "prune-p0.00-s42-dns-S0.500"])
    assert set(only["cell_id"]) == {"train-p0.00-s42"}
    assert dtypes_of(load_history(path, [])) == HISTORY_DTYPES


def test_nothing_there_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no experiment here"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sweep.json", "{", r"sweep.json: not valid JSON"),
        ("sweep.json", '{"format": 1}', r"sweep.json: the field 'recipe' is missing"),
        (
            "sweep.json",
            '{"recipe": {"name": "x", "dataset": "y", "colour": 3}, "grids": []}',
            r"sweep.json: recipe: unknown field\(s\) colour",
        ),
        (
            "train-p0.00-s42/record.json",
            '{"row": {"seed": "many"}, "cell": {}}',
            r"column 'seed' is no int64",
        ),
    ],
)
def test_damaged_file_is_named_with_the_way_out(
    make_sweep: Any, name: str, content: str, message: str
) -> None:
    path = make_sweep(grid=SMALL)
    (path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert "run the sweep again" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"), [('{"row": {"cell_id": ', "not valid JSON"), ("{}", "the field 'row' is missing")]
)
def test_cell_with_a_damaged_record_is_missing_and_the_rest_is_exported(
    make_sweep: Any, tmp_path: Path, content: str, reason: str
) -> None:
    path = make_sweep(grid=SMALL)
    (path / "train-p0.00-s42" / "record.json").write_text(content)
    frame = load(path)
    damaged = frame[frame["cell_id"] == "train-p0.00-s42"].iloc[0]
    assert damaged["status"] == "missing"
    assert damaged["error"].startswith(f"record.json is damaged: {reason}")
    assert damaged["error"].endswith("the next run does the cell again")
    assert list(frame["status"]).count("done") == 5
    assert len(pd.read_csv(export(frame, tmp_path / "t.csv"))) == 6


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"format": 2, "columns": {"step": []}}, "format 2, this rcsweep reads 1"),
        ({"format": 1}, "with a list 'step' is missing"),
        ({"format": 1, "columns": {"step": [1, 2], "train_loss": [0.1]}}, "'train_loss' is no list of 2"),
    ],
)
def test_damaged_history_is_named(make_sweep: Any, history: dict[str, Any], message: str) -> None:
    path = make_sweep(grid=SMALL)
    (path / "train-p0.00-s42" / "history.json").write_text(json.dumps(history))
    with pytest.raises(ValueError, match=f"train-p0.00-s42/history.json.*{message}"):
        load_history(path)


def test_exports_hold_the_whole_table(make_sweep: Any, tmp_path: Path) -> None:
    frame = load(make_sweep(grid=SMALL, missing=["prune-p0.00-s42-dns-S0.500"]))
    csv, parquet, as_json = (export(frame, tmp_path / "out" / f"t{suffix}") for suffix in EXPORTS)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), frame)
    pd.testing.assert_frame_equal(pd.read_csv(csv, dtype=DTYPES), frame)
    rows = json.loads(as_json.read_text())
    assert [list(row) for row in rows] == [list(COLUMNS)] * 6
    by_id = {row["cell_id"]: row for row in rows}
    assert by_id["prune-p1.00-s42-dns-S0.900"]["train_accuracy"] == 0.118
    assert by_id["prune-p0.00-s42-dns-S0.500"]["train_accuracy"] is None
    assert by_id["prune-p0.00-s42-dns-S0.500"]["steps"] is None
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["t.csv", "t.json", "t.parquet"]


EXPORTS = (".csv", ".parquet", ".json")


def test_export_refuses_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.xlsx' is none of \.csv, \.parquet, \.json"):
        export(rows_to_frame([]), tmp_path / "t.xlsx")
