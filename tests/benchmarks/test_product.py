"""The adapter fits the product's API."""

import dataclasses
import itertools

import pytest
import torch

from benchmarks import product
from benchmarks.parts import MASKS, OPTIMIZER, marked
from benchmarks.scenarios import scenario
from benchmarks.step_profile import profile
from rc_core.datasets import load_split
from rc_core.recipes import preset

RECIPE = dataclasses.replace(preset("smoke").recipe, num_train_examples=100)


@pytest.fixture(scope="module")
def digits():
    return load_split("digits", "train", num_examples=100)


@pytest.mark.parametrize("num_networks", [1, 3])
def test_every_kind_of_step_counts_for_each_network(digits, num_networks):
    runs = (
        product.dense_steps(RECIPE, digits, 10, num_networks),
        product.prune_steps(RECIPE, digits, 10, 0.5, num_networks),
        product.plain_steps(RECIPE, digits, 10, 0.5, num_networks),
    )
    for run in runs:
        assert list(itertools.islice(run, 3)) == [num_networks] * 3


def test_runs_end_with_their_schedule(digits):
    assert sum(product.prune_steps(RECIPE, digits, 10, 0.5, 2)) == 2 * RECIPE.prune.num_steps


def test_plain_step_moves_the_kernels_alone(digits, monkeypatch):
    built = []
    original = product.build_model

    def build_model(*arguments, **named):
        built.append(original(*arguments, **named))
        return built[-1]

    monkeypatch.setattr(product, "build_model", build_model)
    run = product.plain_steps(RECIPE, digits, 10, 0.5, 1)
    next(run)
    before = {name: value.clone() for name, value in built[0].named_parameters()}
    next(run)
    moved = {name for name, value in built[0].named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name, value in before.items() if value.ndim >= 2}


def test_marked_functions_are_all_there():
    with marked(product.MARKED):
        pass


def test_profile_finds_every_part():
    chosen = scenario("digits-dns")
    result = profile(chosen, chosen.candidate("product, stack of 2"), num_steps=3)
    assert result["num_steps"] == 6
    seconds = result["seconds"]
    assert min(seconds.values()) > 0
    assert seconds[OPTIMIZER] + seconds[MASKS] < sum(seconds.values()) / 2
