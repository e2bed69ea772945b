"""What README and recipes say of the committed results holds in the files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import compare
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


TEN_SEEDS = {name: f"digits-ten-seeds-{name}" for name in ("float32", "bfloat16", "unstacked")}


def differences(name, metric):
    """From float32 in stacks: of prunings, of dense networks; and the points whose interval has no 0."""
    frames = [load(TEN_SEEDS[each]) for each in ("float32", name)]
    cells = compare(*frames, metric=metric).cells
    assert [(cell.randomization, cell.sparsity) for cell in cells] == [
        (p, S) for p in (0, 0.5, 1) for S in (None, 0.5, 0.7, 0.8, 0.9, 0.95)
    ]
    assert {cell.interval.n for cell in cells} == {10}
    prunings = [value for cell in cells if cell.sparsity is not None for value in cell.differences]
    dense = [value for cell in cells if cell.sparsity is None for value in cell.differences]
    elsewhere = [
        (cell.randomization, cell.sparsity)
        for cell in cells
        if not cell.interval.low <= 0 <= cell.interval.high
    ]
    return np.array(prunings), np.array(dense), elsewhere


def test_the_ten_seed_sweeps_differ_in_precision_and_stacks_alone():
    for name, file in TEN_SEEDS.items():
        frame = load(file)
        assert len(frame) == 180
        assert set(frame["status"]) == {"done"}
        assert set(frame["precision"]) == {"bfloat16" if name == "bfloat16" else "float32"}
        assert set(frame["stacked"]) == {name != "unstacked"}
        provenance = pd.read_json(RESULTS / f"{file}.json", typ="series")
        assert provenance["recipe"] == recipe_to_dict(preset("digits").recipe)
    three = load("digits").set_index("cell_id")["train_accuracy"]
    assert load(TEN_SEEDS["float32"]).set_index("cell_id")["train_accuracy"][three.index].equals(three)


def test_bfloat16_moves_cells_no_further_than_another_rounding_of_float32():
    found = {}
    for name in ("bfloat16", "unstacked"):
        prunings, dense, elsewhere = differences(name, "train_accuracy")
        on_test, _, elsewhere_on_test = differences(name, "test_accuracy")
        assert (len(prunings), len(dense)) == (150, 30)
        assert elsewhere == elsewhere_on_test == []
        numbers = [
            np.sqrt((prunings**2).mean()),
            prunings.mean(),
            np.sqrt((on_test**2).mean()),
            on_test.mean(),
            np.abs(dense).max(),
        ]
        found[name] = [float(round(number, 3)) for number in numbers]
    # the table in docs/performance.md
    assert found == {
        "bfloat16": [0.084, -0.002, 0.073, 0.007, 0.001],
        "unstacked": [0.089, 0.004, 0.069, 0.005, 0.001],
    }


def test_the_tables_of_the_performance_document_are_those_of_the_data():
    document = (RESULTS.parent / "performance.md").read_text()
    assert filled(document, all_tables(read_sections(RESULTS / "performance.json"))) == document
