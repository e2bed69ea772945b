"""Packing trials on a GPU, with a stand-in for the device: no memory of it is touched before trials start."""

import pytest
import torch

from rc_core.datasets import load_recipe_splits
from rc_core.device_memory import estimate_memory
from rc_core.recipes import preset
from tune_experiments.gpu_packing import require_device_memory
from tune_experiments.plan import PlanError

GIB = 2**30


@pytest.fixture
def digits():
    recipe = preset("digits").recipe
    return recipe, *load_recipe_splits(recipe)


def pack(digits, gpus_per_trial: float) -> None:
    require_device_memory(*digits, gpus_per_trial=gpus_per_trial, stack=1, precision="float32")


def test_trials_that_do_not_fit_together_are_refused_with_the_number_that_does(digits, monkeypatch):
    recipe, train, test = digits
    needed = estimate_memory(
        recipe,
        image_size=8,
        in_channels=1,
        num_networks=1,
        precision="float32",
        num_train_examples=len(train.labels),
        num_test_examples=len(test.labels),
    ).total
    assert 0.5 * GIB < needed < 1 * GIB  # CUDA's own half, and little more for so small a network
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, int(needed * 4 / 0.9) + 1))
    pack(digits, 0.25)
    with pytest.raises(PlanError, match=r"--gpus-per-trial 0\.2: 5 trials .* --gpus-per-trial 0\.25 fits"):
        pack(digits, 0.2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, needed // 2))
    with pytest.raises(PlanError, match=r"not even one does; use a smaller --stack"):
        pack(digits, 0.5)


def test_whole_gpus_and_machines_without_one_are_not_asked(digits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 1))
    for gpus_per_trial in (0.0, 1.0, 2.0):
        pack(digits, gpus_per_trial)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    pack(digits, 0.01)
