"""What README and recipes say of the committed results holds in the files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import compare
from analysis.results import DTYPES
from analysis.statistics import mean_interval
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


THIRTY_SEEDS = {name: f"digits-thirty-seeds-{name}" for name in ("float32", "bfloat16", "unstacked")}


def differences(name, metric):
    """From float32 in stacks: of prunings, of dense networks; and the points whose interval has no 0."""
    frames = [load(THIRTY_SEEDS[each]) for each in ("float32", name)]
    cells = compare(*frames, metric=metric).cells
    assert [(cell.randomization, cell.sparsity) for cell in cells] == [
        (p, S) for p in (0, 0.5, 1) for S in (None, 0.5, 0.7, 0.8, 0.9, 0.95)
    ]
    assert {cell.interval.n for cell in cells} == {30}
    prunings = [value for cell in cells if cell.sparsity is not None for value in cell.differences]
    dense = [value for cell in cells if cell.sparsity is None for value in cell.differences]
    elsewhere = [
        (cell.randomization, cell.sparsity)
        for cell in cells
        if not cell.interval.low <= 0 <= cell.interval.high
    ]
    return np.array(prunings), np.array(dense), elsewhere


def test_the_thirty_seed_sweeps_differ_in_precision_and_stacks_alone():
    for name, file in THIRTY_SEEDS.items():
        frame = load(file)
        assert len(frame) == 540
        assert set(frame["status"]) == {"done"}
        assert set(frame["precision"]) == {"bfloat16" if name == "bfloat16" else "float32"}
        assert set(frame["stacked"]) == {name != "unstacked"}
        provenance = pd.read_json(RESULTS / f"{file}.json", typ="series")
        assert provenance["recipe"] == recipe_to_dict(preset("digits").recipe)
    three = load("digits").set_index("cell_id")["train_accuracy"]
    assert load(THIRTY_SEEDS["float32"]).set_index("cell_id")["train_accuracy"][three.index].equals(three)


def test_bfloat16_moves_cells_about_as_far_as_another_rounding_of_float32():
    found = {}
    points_elsewhere = {}
    for name in ("bfloat16", "unstacked"):
        prunings, dense, elsewhere = differences(name, "train_accuracy")
        on_test, _, elsewhere_on_test = differences(name, "test_accuracy")
        assert (len(prunings), len(dense)) == (450, 90)
        points_elsewhere[name] = elsewhere + elsewhere_on_test
        numbers = [
            np.median(np.abs(prunings)),
            np.sqrt((prunings**2).mean()),
            prunings.mean(),
            np.sqrt((on_test**2).mean()),
            on_test.mean(),
            np.abs(dense).max(),
        ]
        found[name] = [float(round(number, 3)) for number in numbers]
    # the table in docs/performance.md
    assert found == {
        "bfloat16": [0.029, 0.104, 0.0, 0.095, -0.002, 0.001],
        "unstacked": [0.027, 0.094, 0.0, 0.078, -0.002, 0.001],
    }
    assert points_elsewhere == {"bfloat16": [], "unstacked": [(0.0, 0.5)]}


def diverging(frame):
    """Prunings whose loss grew in the last steps."""
    return int(((frame["phase"] == "prune") & (frame["train_loss"] > 3)).sum())


def test_what_the_text_says_of_sixty_seeds():
    thirty = {name: load(file) for name, file in THIRTY_SEEDS.items()}
    more = {name: load(f"digits-more-seeds-{name}") for name in ("float32", "bfloat16")}
    assert {name: diverging(frame) for name, frame in thirty.items()} == {
        "float32": 1,
        "bfloat16": 4,
        "unstacked": 2,
    }
    assert {name: diverging(frame) for name, frame in more.items()} == {"float32": 2, "bfloat16": 3}
    by_seed = []
    for frames in (thirty, more):
        accuracies = [
            frames[name].query("phase == 'prune'").groupby("seed")["train_accuracy"].mean()
            for name in ("bfloat16", "float32")
        ]
        by_seed.append(accuracies[0] - accuracies[1])
    assert [len(each) for each in by_seed] == [30, 30]
    assert round(by_seed[1].mean(), 3) == -0.012
    interval = mean_interval(pd.concat(by_seed))
    found = [round(float(number), 3) for number in (interval.mean, interval.low, interval.high)]
    assert found == [-0.006, -0.012, 0.001]


def test_the_tables_of_the_performance_document_are_those_of_the_data():
    document = (RESULTS.parent / "performance.md").read_text()
    assert filled(document, all_tables(read_sections(RESULTS / "performance.json"))) == document
