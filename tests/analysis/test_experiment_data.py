from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis import experiment_data
from analysis.experiment_data import ExperimentData
from analysis.layers import Layer
from analysis.results import load, load_history
from rc_core.cells import Grid
from rc_core.storage import open_storage

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
LAYER = {"name": "stem.weight", "num_weights": 10, "num_kept": 4}


def test_load_reads_name_frame_and_spec(make_sweep: Any) -> None:
    folder = make_sweep("small", SMALL)
    data = ExperimentData.load(folder)
    assert data.name == "small"
    pd.testing.assert_frame_equal(data.frame, load(folder))
    assert data.spec is not None
    assert data.spec.recipe.name == "digits"
    assert ExperimentData.load(make_sweep("loose", SMALL, with_spec=False)).spec is None
    with pytest.raises(FileNotFoundError):
        ExperimentData.load(folder / "nothing")


def test_every_file_is_read_once(make_sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ExperimentData.load(make_sweep("small", SMALL))
    asked: list[list[str]] = []

    def counting(storage: Any, cell_ids: Any) -> pd.DataFrame:
        asked.append(list(cell_ids))
        return load_history(storage, cell_ids)

    monkeypatch.setattr(experiment_data, "load_history", counting)
    first, second = "train-p0.00-s42", "train-p1.00-s42"
    assert set(data.history([first])["cell_id"]) == {first}
    both = data.history([first, second])
    assert list(both["cell_id"].unique()) == [first, second]
    assert set(data.history([second])["cell_id"]) == {second}
    assert asked == [[first], [second]]
    assert data.attempts() is data.attempts()


def test_history_of_no_cell_has_the_columns(make_sweep: Any) -> None:
    folder = make_sweep("small", SMALL)
    empty = ExperimentData.load(folder).history([])
    pd.testing.assert_frame_equal(empty, load_history(folder, []))
    data = ExperimentData.load(folder)
    data.history(["train-p0.00-s42"])
    assert len(data.history([])) == 0


def test_layers_leave_out_what_is_not_pruned(make_sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ExperimentData.load(make_sweep("small", SMALL))
    half = "prune-p0.00-s42-dns-S0.500"
    asked: list[list[str]] = []

    def reading(storage: Any, cell_ids: list[str]) -> dict[str, tuple[Layer, ...]]:
        asked.append(cell_ids)
        return {half: (Layer(**LAYER),)}

    monkeypatch.setattr(experiment_data, "load_layers", reading)
    assert data.layers([half, "train-p0.00-s42"]) == {half: (Layer("stem.weight", 10, 4),)}
    assert data.layers([half]) == {half: (Layer("stem.weight", 10, 4),)}
    assert data.layers(["train-p0.00-s42"]) == {}
    assert asked == [[half, "train-p0.00-s42"]]


def test_restricted_shares_what_was_read(make_sweep: Any) -> None:
    folder = make_sweep("small", SMALL)
    frame = load(folder)
    data = ExperimentData(name="mine", frame=frame, spec=None, storage=open_storage(folder))
    data.attempts()
    part = data.restricted(frame[frame["randomization"] == 0])
    assert (len(part.frame), len(data.frame), part.name) == (3, 6, "mine")
    assert part.attempts() is data.attempts()
