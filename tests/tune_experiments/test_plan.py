"""What is to run is the grid without the finished cells, and what it costs."""

import dataclasses

import pytest

from rc_core.cells import Grid, PruneCell
from rc_core.experiment import RECORD_FILE, SweepSpec, write_json
from rc_core.recipes import preset
from rc_core.resnet import ResNet, kernels
from rc_core.storage import open_storage
from tune_experiments.plan import PlanError, make_plan, num_kernel_weights

DIGITS = preset("digits")


def write_record(experiment, cell_id, phase, wall_seconds):
    record = {"row": {"cell_id": cell_id, "phase": phase, "wall_seconds": wall_seconds}}
    write_json(experiment.folder(cell_id), RECORD_FILE, record)


def test_an_empty_folder_needs_the_whole_grid(tmp_path):
    plan = make_plan(DIGITS, DIGITS.grid.cells(), open_storage(tmp_path))

    assert plan.to_dict()["num_train_cells"] == 9
    assert plan.to_dict()["num_prune_cells"] == 45
    assert plan.finished == ()
    # 9 trainings of 600 steps and 45 prunings of 500, at the preset's measured step times
    expected = 9 * 600 * DIGITS.train_step_seconds + 45 * 500 * DIGITS.prune_step_seconds
    assert plan.device_seconds == pytest.approx(expected)
    assert "one CPU core" in plan.basis


def test_finished_cells_are_left_out_and_give_the_time_estimate(tmp_path):
    experiment = open_storage(tmp_path)
    grid = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(42, 43))
    write_record(experiment, "train-p0.00-s42", "train", 10.0)
    write_record(experiment, "prune-p0.00-s42-dns-S0.500", "prune", 4.0)

    plan = make_plan(DIGITS, grid.cells(), experiment)

    assert [cell.cell_id for cell in plan.to_run] == [
        "train-p0.00-s43",
        "prune-p0.00-s42-dns-S0.900",
        "prune-p0.00-s43-dns-S0.500",
        "prune-p0.00-s43-dns-S0.900",
    ]
    assert plan.device_seconds == pytest.approx(10.0 + 3 * 4.0)
    assert plan.basis == "mean of 2 finished cells"


def test_another_recipe_under_the_same_name_is_refused_with_the_fields_that_differ(tmp_path):
    experiment = open_storage(tmp_path)
    SweepSpec(DIGITS.recipe, [DIGITS.grid], {}).write(experiment)
    other = dataclasses.replace(
        DIGITS.recipe, width=16, train=dataclasses.replace(DIGITS.recipe.train, num_steps=700)
    )

    with pytest.raises(PlanError) as caught:
        make_plan(dataclasses.replace(DIGITS, recipe=other), DIGITS.grid.cells(), experiment)

    assert "width: 8 | 16" in str(caught.value)
    assert "train.num_steps: 600 | 700" in str(caught.value)
    assert "--name" in str(caught.value)


@pytest.mark.parametrize(("name", "in_channels"), [("digits", 1), ("cifar-small", 3), ("paper", 3)])
def test_counted_weights_are_those_of_the_network(name, in_channels):
    recipe = preset(name).recipe
    network = ResNet(depth=recipe.depth, width=recipe.width, in_channels=in_channels)

    assert num_kernel_weights(recipe, in_channels=in_channels) == sum(
        weight.numel() for weight in kernels(network).values()
    )


def test_a_parent_that_is_needed_and_not_there_is_planned_too(tmp_path):
    child = PruneCell(randomization=0.5, seed=42, sparsity=0.9)

    plan = make_plan(DIGITS, [child], open_storage(tmp_path))

    assert plan.to_run == (child.parent, child)
