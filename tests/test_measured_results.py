"""What README and recipes say of the committed results holds in the files."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.results import DTYPES
from benchmarks.sections import read_sections
from benchmarks.table import all_tables, filled
from rc_core.recipes import preset, recipe_to_dict

RESULTS = Path(__file__).parent.parent / "docs" / "results"


def load(name):
    return pd.read_csv(RESULTS / f"{name}.csv")


def mean(frame, randomization, sparsity):
    rows = frame[(frame["randomization"] == randomization) & (frame["sparsity_target"] == sparsity)]
    assert sorted(rows["seed"]) == [42, 43, 44]
    return rows["train_accuracy"].mean()


@pytest.mark.parametrize("name", ["digits", "cifar-tiny"])
def test_the_whole_grid_of_the_preset_is_there(name):
    frame = load(name)
    assert list(frame.columns) == list(DTYPES)
    assert list(frame["cell_id"]) == [cell.cell_id for cell in preset(name).grid.cells()]
    assert set(frame["status"]) == {"done"}
    provenance = pd.read_json(RESULTS / f"{name}.json", typ="series")
    assert provenance["recipe"] == recipe_to_dict(preset(name).recipe)
    assert set(frame["data_sha256"]) == {provenance["provenance"]["data_sha256"]}


def test_digits_shows_that_overfitting_limits_compressibility():
    frame = load("digits")
    assert frame.loc[frame["phase"] == "train", "train_accuracy"].min() == 1.0
    by_cell = frame.set_index(["randomization", "sparsity_target", "seed"])["train_accuracy"]
    for sparsity in (0.8, 0.9, 0.95):
        for seed in (42, 43, 44):
            assert by_cell[0.0, sparsity, seed] > by_cell[1.0, sparsity, seed]
    assert [round(mean(frame, p, 0.9), 3) for p in (0.0, 0.5, 1.0)] == [0.989, 0.440, 0.207]


def test_cifar_tiny_shows_the_order_in_the_mean():
    frame = load("cifar-tiny")
    assert frame.loc[frame["phase"] == "train", "train_accuracy"].min() == 1.0
    assert [round(mean(frame, p, 0.8), 3) for p in (0.0, 0.5, 1.0)] == [0.747, 0.605, 0.604]
    assert [round(mean(frame, p, 0.9), 3) for p in (0.0, 0.5, 1.0)] == [0.442, 0.287, 0.242]


def test_the_tables_of_the_performance_document_are_those_of_the_data():
    document = (RESULTS.parent / "performance.md").read_text()
    assert filled(document, all_tables(read_sections(RESULTS / "performance.json"))) == document
