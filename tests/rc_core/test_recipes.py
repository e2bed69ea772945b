import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.recipes import (
    PRESETS,
    PruneSchedule,
    Recipe,
    TrainSchedule,
    differing_fields,
    preset,
    recipe_from_dict,
    recipe_to_dict,
)

PAPER = {
    "name": "paper",
    "dataset": "cifar10",
    "num_train_examples": None,
    "num_test_examples": None,
    "image_size": None,
    "depth": 56,
    "width": 16,
    "batch_norm_momentum": 0.003,
    "noise": "symmetric",
    "train": {
        "num_steps": 64_000,
        "batch_size": 128,
        "momentum": 0.9,
        "reference_steps": 64_000,
        "boundary_steps": [400, 32_000, 48_000],
        "learning_rates": [0.001, 0.1, 0.01, 0.001],
    },
    "prune": {
        "num_steps": 20_000,
        "batch_size": 128,
        "momentum": 0.9,
        "learning_rate": 0.05,
        "learning_rate_decay": 10.0,
        "probability_decay": 0.2,
        "num_probability_stairs": 200,
        "min_update_probability": 0.0,
        "ramp_fraction": 0.75,
        "num_threshold_updates": 40,
        "prune_below": 0.9,
        "splice_above": 1.1,
    },
}


def test_the_paper_s_recipe_is_frozen():
    # Learning rate .05/(1 + .1 t/200) is .05/(1 + 10 t/20000); a stair of 100 steps is one of 200 in 20,000;
    # 15,000 steps of ramp are .75; a refresh each 500 steps makes 40.
    assert recipe_to_dict(preset("paper").recipe) == PAPER


def test_the_paper_s_grid_is_frozen():
    assert preset("paper").grid.to_dict() == {
        "randomizations": [0, 0.3, 0.5, 0.7, 1],
        "sparsities": [0.5, 0.6, 0.7, 0.8, 0.9],
        "seeds": [42, 43, 44],
    }


def changed(base: dict, **changes: object) -> dict:
    """A recipe dictionary with other values; `train__num_steps` reaches into `train`."""
    result = json.loads(json.dumps(base))
    for path, value in changes.items():
        *parents, field = path.split("__")
        place = result
        for parent in parents:
            place = place[parent]
        assert field in place
        place[field] = value
    return result


SMALL = {
    "depth": 8,
    "width": 8,
    "batch_norm_momentum": 0.1,
    "num_train_examples": 1_000,
    "train__batch_size": 64,
    "prune__batch_size": 64,
    "prune__min_update_probability": 0.25,
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("digits", SMALL | {"dataset": "digits", "train__num_steps": 600, "prune__num_steps": 500}),
        (
            "cifar-tiny",
            SMALL
            | {
                "num_test_examples": 2_000,
                "image_size": 8,
                "train__num_steps": 1_500,
                "prune__num_steps": 1_000,
            },
        ),
    ],
)
def test_the_small_presets_are_the_paper_s_scaled_as_calibrated(name, changes):
    assert recipe_to_dict(preset(name).recipe) == changed(PAPER, name=name, **changes)
    grid = preset(name).grid
    assert grid.randomizations == (0, 0.5, 1)
    assert grid.sparsities == (0.5, 0.7, 0.8, 0.9, 0.95)
    assert grid.seeds == (42, 43, 44)
    phases = [cell.phase for cell in grid.cells()]
    assert (phases.count("train"), phases.count("prune")) == (9, 45)


def test_cifar_small_is_5000_records_at_16x16():
    recipe = preset("cifar-small").recipe
    assert (recipe.dataset, recipe.num_train_examples, recipe.image_size) == ("cifar10", 5_000, 16)


def test_the_names_of_the_presets_are_frozen():
    assert list(PRESETS) == ["smoke", "digits", "cifar-tiny", "cifar-small", "paper"]
    assert [preset(name).recipe.name for name in PRESETS] == list(PRESETS)


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(
        ValueError, match="recipe = 'papers': must be one of smoke, digits, cifar-tiny, cifar-small, paper"
    ):
        preset("papers")


def test_a_preset_says_how_to_run_it_how_long_it_takes_and_what_comes_out():
    for name, function in PRESETS.items():
        assert f"Command:  rcsweep run {name}" in (function.__doc__ or "")
        assert "Time: " in (function.__doc__ or "")
        assert "Result: " in (function.__doc__ or "")
        assert function().train_step_seconds > 0
        assert function().prune_step_seconds > 0


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_survives_json(name):
    recipe = preset(name).recipe
    assert recipe_from_dict(json.loads(json.dumps(recipe_to_dict(recipe)))) == recipe


@st.composite
def train_schedules(draw: st.DrawFn) -> TrainSchedule:
    boundaries = tuple(sorted(draw(st.lists(st.integers(0, 10**6), max_size=4))))
    rates = draw(
        st.lists(
            st.floats(1e-6, 10, allow_subnormal=False),
            min_size=len(boundaries) + 1,
            max_size=len(boundaries) + 1,
        )
    )
    return TrainSchedule(
        num_steps=draw(st.integers(1, 10**6)), boundary_steps=boundaries, learning_rates=tuple(rates)
    )


@given(
    train_schedules(),
    st.builds(PruneSchedule, num_steps=st.integers(1, 10**6), ramp_fraction=st.floats(0.01, 1)),
    st.integers(1, 20),
    st.none() | st.integers(1, 50_000),
)
def test_every_recipe_survives_json(train, prune, blocks, number):
    recipe = Recipe(
        name="any",
        dataset="any",
        depth=6 * blocks + 2,
        num_train_examples=number,
        train=train,
        prune=prune,
    )
    as_dict = recipe_to_dict(recipe)
    assert json.loads(json.dumps(as_dict)) == as_dict
    again = recipe_from_dict(json.loads(json.dumps(as_dict)))
    assert again == recipe
    assert isinstance(again.train.boundary_steps, tuple)


def test_settings_cannot_be_changed_or_given_by_position():
    recipe = preset("digits").recipe
    for settings in (recipe, recipe.train, recipe.prune):
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.num_steps = 1  # type: ignore[misc, union-attr]
    with pytest.raises(TypeError):
        TrainSchedule(600)  # type: ignore[misc]


def test_the_model_s_name_carries_depth_and_width():
    assert Recipe(name="r", dataset="digits").model == "resnet56-w16"
    assert Recipe(name="r", dataset="digits", depth=8, width=4).model == "resnet8-w4"


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (TrainSchedule, {"num_steps": 0}, r"train\.num_steps = 0: must be at least 1"),
        (TrainSchedule, {"batch_size": 0}, r"train\.batch_size = 0: must be at least 1"),
        (TrainSchedule, {"momentum": 1.0}, r"train\.momentum = 1\.0: must be in \[0, 1\)"),
        (TrainSchedule, {"momentum": -0.1}, r"train\.momentum = -0\.1: must be in \[0, 1\)"),
        (
            TrainSchedule,
            {"learning_rates": (0.1, 0.01)},
            r"train\.learning_rates = \(0\.1, 0\.01\): must be one longer than boundary_steps \(3\)",
        ),
        (
            TrainSchedule,
            {"boundary_steps": (400, 48_000, 32_000)},
            r"train\.boundary_steps = \(400, 48000, 32000\): must be ascending",
        ),
        (PruneSchedule, {"num_steps": -5}, r"prune\.num_steps = -5: must be at least 1"),
        (PruneSchedule, {"batch_size": 0}, r"prune\.batch_size = 0: must be at least 1"),
        (PruneSchedule, {"momentum": 1}, r"prune\.momentum = 1: must be in \[0, 1\)"),
        (PruneSchedule, {"ramp_fraction": 0}, r"prune\.ramp_fraction = 0: must be in \(0, 1\]"),
        (PruneSchedule, {"ramp_fraction": 1.5}, r"prune\.ramp_fraction = 1\.5: must be in \(0, 1\]"),
        (
            PruneSchedule,
            {"min_update_probability": 25},
            r"prune\.min_update_probability = 25: must be in \[0, 1\]",
        ),
        (
            PruneSchedule,
            {"prune_below": 1.2},
            r"prune\.prune_below = 1\.2: must be in \(0, splice_above = 1\.1\]",
        ),
        (Recipe, {"depth": 18}, r"depth = 18: must be 6n \+ 2 with n >= 1"),
        (Recipe, {"depth": 2}, r"depth = 2: must be 6n \+ 2 with n >= 1"),
        (Recipe, {"width": 0}, r"width = 0: must be at least 1"),
        (Recipe, {"batch_norm_momentum": 0}, r"batch_norm_momentum = 0: must be in \(0, 1\]"),
        (Recipe, {"batch_norm_momentum": 1.1}, r"batch_norm_momentum = 1\.1: must be in \(0, 1\]"),
        (Recipe, {"noise": "pair-flip"}, "noise = 'pair-flip': must be 'symmetric'"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_range(cls, fields, message):
    required = {"name": "r", "dataset": "digits"} if cls is Recipe else {}
    with pytest.raises(ValueError, match=message):
        cls(**required, **fields)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", r"recipe: unknown field\(s\) colour, shape"),
        ("train", r"recipe\.train: unknown field\(s\) colour, shape"),
        ("prune", r"recipe\.prune: unknown field\(s\) colour, shape"),
    ],
)
def test_fields_of_a_newer_version_are_named(where, message):
    data = json.loads(json.dumps(PAPER))
    (data[where] if where else data).update(shape="round", colour="red")
    with pytest.raises(ValueError, match=message):
        recipe_from_dict(data)


def test_differing_fields_names_every_leaf_and_both_values():
    theirs = changed(PAPER, depth=20, train__num_steps=100, prune__momentum=0.5)
    assert differing_fields(PAPER, theirs) == [
        "depth: 56 | 20",
        "prune.momentum: 0.9 | 0.5",
        "train.num_steps: 64000 | 100",
    ]
    assert differing_fields(PAPER, PAPER) == []
    del theirs["prune"]["momentum"]
    assert differing_fields(PAPER, theirs)[1] == "prune.momentum: 0.9 | None"
    assert differing_fields(theirs, PAPER)[1] == "prune.momentum: None | 0.9"


@given(st.sampled_from(list(PRESETS)), st.sampled_from(list(PRESETS)))
def test_recipes_are_equal_exactly_where_no_field_differs(one, other):
    ours, theirs = preset(one).recipe, preset(other).recipe
    assert (differing_fields(recipe_to_dict(ours), recipe_to_dict(theirs)) == []) == (ours == theirs)
