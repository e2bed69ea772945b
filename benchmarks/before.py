"""Steps of the version before stacks (commit e328443), by the API of then. Runs in that version's tree."""

# mypy: ignore-errors
# (It is not checked against the API of today.)

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.parts import DATA, LOGGING, MASKS, Marked
from rc_core.cells import PruneCell, TrainCell
from rc_core.datasets import Split
from rc_core.examples import Examples, to_examples
from rc_core.history import Window
from rc_core.pruning.dns import DynamicNetworkSurgery
from rc_core.recipes import Recipe
from rc_core.resnet import ResNet
from rc_core.training import DenseTraining, Phase, Surgery, build_model

SEED = 42

MARKED = (
    Marked(DATA, Examples, "batch"),
    Marked(LOGGING, Window, "add"),
    Marked(MASKS, DynamicNetworkSurgery, "step"),
)


def dense_steps(recipe: Recipe, train: Split, num_classes: int) -> Iterator[int]:
    """A dense training; yields after every step how many networks' steps it was."""
    examples, model = _examples_and_model(recipe, train, num_classes)
    cell = TrainCell(randomization=0.0, seed=SEED)
    return _steps(DenseTraining(cell, recipe, model, examples))


def prune_steps(recipe: Recipe, train: Split, num_classes: int, sparsity: float) -> Iterator[int]:
    """A pruning; yields after every step how many networks' steps it was."""
    examples, model = _examples_and_model(recipe, train, num_classes)
    model.initialize(SEED)
    cell = PruneCell(randomization=0.0, seed=SEED, sparsity=sparsity)
    return _steps(Surgery(cell, recipe, model, examples, model.state_dict()))


def _examples_and_model(recipe: Recipe, train: Split, num_classes: int) -> tuple[Examples, ResNet]:
    device = torch.device("cpu")
    examples = to_examples(train.images, train.labels, device)
    in_channels = train.images.shape[3]
    return examples, build_model(recipe, in_channels=in_channels, num_classes=num_classes, device=device)


def _steps(phase: Phase) -> Iterator[int]:
    while phase.step < phase.num_steps:
        phase.advance()
        yield 1
