import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.cells import Grid, PruneCell, TrainCell, cell_from_dict, cell_to_dict, union_of_cells

hundredths = st.integers(0, 100).map(lambda n: n / 100)
thousandths = st.integers(0, 999).map(lambda n: n / 1000)
seeds = st.integers(0, 2**32 - 1)
train_cells = st.builds(TrainCell, randomization=hundredths, seed=seeds)
prune_cells = st.builds(PruneCell, randomization=hundredths, seed=seeds, sparsity=thousandths)
cells = train_cells | prune_cells


# Folder names of every result that there is: they never change.
@pytest.mark.parametrize(
    ("cell", "cell_id"),
    [
        (TrainCell(randomization=0.3, seed=42), "train-p0.30-s42"),
        (TrainCell(randomization=0, seed=0), "train-p0.00-s0"),
        (TrainCell(randomization=1.0, seed=4294967295), "train-p1.00-s4294967295"),
        (TrainCell(randomization=0.29, seed=7), "train-p0.29-s7"),
        (PruneCell(randomization=0.3, seed=42, sparsity=0.9), "prune-p0.30-s42-dns-S0.900"),
        (PruneCell(randomization=1, seed=44, sparsity=0.985), "prune-p1.00-s44-dns-S0.985"),
        (PruneCell(randomization=0.5, seed=43, sparsity=0), "prune-p0.50-s43-dns-S0.000"),
    ],
)
def test_ids_are_frozen(cell, cell_id):
    assert cell.cell_id == cell_id


def test_a_pruning_starts_from_the_training_of_its_randomization_and_seed():
    cell = PruneCell(randomization=0.7, seed=43, sparsity=0.8)
    assert cell.parent == TrainCell(randomization=0.7, seed=43)
    assert cell.parent.cell_id == "train-p0.70-s43"
    assert cell.parent.parent is None
    assert (cell.phase, cell.parent.phase) == ("prune", "train")


@given(cells, cells)
def test_cells_are_equal_exactly_where_their_ids_are(one, other):
    assert (one == other) == (one.cell_id == other.cell_id)


@given(cells)
def test_a_cell_survives_json(cell):
    again = cell_from_dict(json.loads(json.dumps(cell_to_dict(cell))))
    assert again == cell
    assert again.cell_id == cell.cell_id


def test_the_json_form_is_frozen():
    assert cell_to_dict(TrainCell(randomization=0.3, seed=42)) == {
        "phase": "train",
        "randomization": 0.3,
        "seed": 42,
    }
    assert cell_to_dict(PruneCell(randomization=0.3, seed=42, sparsity=0.9)) == {
        "phase": "prune",
        "randomization": 0.3,
        "seed": 42,
        "sparsity": 0.9,
        "pruner": "dns",
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("randomization", 30, r"randomization = 30: must be in \[0, 1\] \(a fraction, not a percentage\)"),
        ("randomization", -0.01, r"randomization = -0\.01: must be in \[0, 1\]"),
        ("randomization", float("nan"), r"randomization = nan: must be in \[0, 1\]"),
        ("randomization", 0.305, r"randomization = 0\.305: at most 2 decimals"),
        ("sparsity", 1, r"sparsity = 1: must be in \[0, 1\)"),
        ("sparsity", 90, r"sparsity = 90: must be in \[0, 1\)"),
        ("sparsity", -0.1, r"sparsity = -0\.1: must be in \[0, 1\)"),
        ("sparsity", 0.9005, r"sparsity = 0\.9005: at most 3 decimals"),
        ("seed", -1, r"seed = -1: must be an int in \[0, 2\*\*32\)"),
        ("seed", 2**32, r"seed = 4294967296: must be an int in \[0, 2\*\*32\)"),
        ("pruner", "magnitude", "pruner = 'magnitude': must be 'dns'"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_range(field, value, message):
    fields = {"randomization": 0.5, "seed": 42, "sparsity": 0.5, field: value}
    with pytest.raises(ValueError, match=message):
        PruneCell(**fields)
    if field in ("randomization", "seed"):
        with pytest.raises(ValueError, match=message):
            TrainCell(randomization=fields["randomization"], seed=fields["seed"])


def test_an_unknown_phase_is_named():
    with pytest.raises(ValueError, match="phase = 'tune': must be 'train' or 'prune'"):
        cell_from_dict({"phase": "tune", "randomization": 0, "seed": 0})


def test_a_grid_is_the_product_with_the_trainings_first_and_seed_by_seed():
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(7, 8))
    assert [cell.cell_id for cell in grid.cells()] == [
        "train-p0.00-s7",
        "train-p1.00-s7",
        "train-p0.00-s8",
        "train-p1.00-s8",
        "prune-p0.00-s7-dns-S0.500",
        "prune-p0.00-s7-dns-S0.900",
        "prune-p1.00-s7-dns-S0.500",
        "prune-p1.00-s7-dns-S0.900",
        "prune-p0.00-s8-dns-S0.500",
        "prune-p0.00-s8-dns-S0.900",
        "prune-p1.00-s8-dns-S0.500",
        "prune-p1.00-s8-dns-S0.900",
    ]


@given(
    st.lists(hundredths, min_size=1, max_size=4, unique=True),
    st.lists(thousandths, max_size=4, unique=True),
    st.lists(seeds, min_size=1, max_size=3, unique=True),
)
def test_a_grid_has_every_cell_once_and_every_parent(randomizations, sparsities, grid_seeds):
    grid = Grid(randomizations=tuple(randomizations), sparsities=tuple(sparsities), seeds=tuple(grid_seeds))
    ids = [cell.cell_id for cell in grid.cells()]
    num_trainings = len(randomizations) * len(grid_seeds)
    assert len(ids) == len(set(ids)) == num_trainings * (1 + len(sparsities))
    for position, cell in enumerate(grid.cells()):
        assert (cell.parent is None) == (position < num_trainings)
        assert cell.parent is None or cell.parent.cell_id in ids[:num_trainings]
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"randomizations": ()}, "randomizations: must not be empty"),
        ({"seeds": ()}, "seeds: must not be empty"),
        ({"seeds": (42, 43, 42)}, r"seeds = \(42, 43, 42\): a level stands there twice"),
        ({"sparsities": (0.5, 0.5)}, r"sparsities = \(0\.5, 0\.5\): a level stands there twice"),
        ({"randomizations": (0, 0.0)}, r"randomizations = \(0, 0\.0\): a level stands there twice"),
        ({"sparsities": (0.5, 1.0)}, r"sparsity = 1\.0: must be in \[0, 1\)"),
        ({"randomizations": (0.5, 50)}, r"randomization = 50: must be in \[0, 1\]"),
        ({"seeds": (42, -1)}, "seed = -1: must be an int in"),
    ],
)
def test_a_bad_grid_is_refused_when_it_is_made(levels, message):
    good = {"randomizations": (0.5,), "sparsities": (0.5,), "seeds": (42,)}
    with pytest.raises(ValueError, match=message):
        Grid(**(good | levels))


def test_a_union_has_no_cell_twice_and_every_training_before_any_pruning():
    first = Grid(randomizations=(0.5,), sparsities=(0.9,), seeds=(1,))
    second = Grid(randomizations=(0.5,), sparsities=(0.5, 0.9), seeds=(2, 1))
    assert [cell.cell_id for cell in union_of_cells([first, second])] == [
        "train-p0.50-s1",
        "train-p0.50-s2",
        "prune-p0.50-s1-dns-S0.900",
        "prune-p0.50-s2-dns-S0.500",
        "prune-p0.50-s2-dns-S0.900",
        "prune-p0.50-s1-dns-S0.500",
    ]
    assert union_of_cells([]) == []
