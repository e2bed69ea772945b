"""Steps of the product as it is: the one place of the benchmarks that knows its API."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from benchmarks.parts import DATA, LOGGING, MASKS, OPTIMIZER, Marked
from rc_core import process_settings, training
from rc_core.batches import Batches
from rc_core.cells import PruneCell, TrainCell
from rc_core.datasets import Split
from rc_core.device_step import Numerics
from rc_core.examples import Examples, to_examples
from rc_core.history import Window, log_due
from rc_core.pruning import dns
from rc_core.recipes import Recipe
from rc_core.resnet import ResNet, kernels
from rc_core.schedules import prune_learning_rate
from rc_core.stacking import stack_states
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, NetworkPhase, build_model

# Seeds of the networks of a stack: as different as can be, so that each has batches of its own.
FIRST_SEED = 42

MARKED = (
    Marked(DATA, Batches, "at"),
    Marked(OPTIMIZER, training, "descend"),
    Marked(OPTIMIZER, dns, "descend"),
    Marked(LOGGING, Window, "add"),
    Marked(MASKS, dns.DynamicNetworkSurgery, "step"),
)

prepare_process = process_settings.prepare_process


def dense_steps(
    recipe: Recipe, train: Split, num_classes: int, num_networks: int, numerics: Numerics | None = None
) -> Iterator[int]:
    """A dense training of a stack; yields after every step how many networks' steps it was."""
    model = _model(recipe, train, num_classes, num_networks)
    cells = [TrainCell(randomization=0.0, seed=FIRST_SEED + index) for index in range(num_networks)]
    return _steps(DenseTraining(cells, recipe, model, _examples(train, num_networks), numerics))


def prune_steps(
    recipe: Recipe,
    train: Split,
    num_classes: int,
    sparsity: float,
    num_networks: int,
    numerics: Numerics | None = None,
) -> Iterator[int]:
    """A pruning of a stack, warm-started from fresh networks; yields as `dense_steps`."""
    model = _model(recipe, train, num_classes, num_networks)
    cells = _prune_cells(sparsity, num_networks)
    starts = [training.initial_state(recipe, model, cell.seed) for cell in cells]
    return _steps(Surgery(cells, recipe, model, _examples(train, num_networks), starts, numerics))


def plain_steps(
    recipe: Recipe, train: Split, num_classes: int, sparsity: float, num_networks: int
) -> Iterator[int]:
    """The pruning's step without surgery: torch's SGD on the kernels; the rest of the step is the same."""
    model = _model(recipe, train, num_classes, num_networks)
    schedule, cells = recipe.prune, _prune_cells(sparsity, num_networks)
    batches = Batches(cells, _examples(train, num_networks), schedule)
    model.load_state_dict(stack_states([training.initial_state(recipe, model, cell.seed) for cell in cells]))
    model.train()
    weights = kernels(model)
    model.requires_grad_(False)
    for weight in weights.values():
        weight.requires_grad_(True)
    optimizer = torch.optim.SGD(weights.values(), momentum=schedule.momentum, foreach=True)
    window = Window(torch.device("cpu"), num_networks)
    for step in range(schedule.num_steps):
        optimizer.zero_grad()
        images, labels = batches.at(torch.tensor([step]))
        logits = model(images).unflatten(1, (num_networks, -1)).transpose(0, 1).contiguous()
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view_as(labels).mean(dim=1)
        losses.sum().backward()
        window.add(losses.detach(), logits.detach(), labels)
        optimizer.param_groups[0]["lr"] = prune_learning_rate(schedule, step)
        optimizer.step()
        if log_due(step + 1, schedule.num_steps):
            window.flush()
        yield num_networks


def _prune_cells(sparsity: float, num_networks: int) -> list[PruneCell]:
    return [
        PruneCell(randomization=0.0, seed=FIRST_SEED + index, sparsity=sparsity)
        for index in range(num_networks)
    ]


def _model(recipe: Recipe, train: Split, num_classes: int, num_networks: int) -> ResNet:
    return build_model(
        recipe,
        in_channels=train.images.shape[3],
        num_classes=num_classes,
        device=torch.device("cpu"),
        num_networks=num_networks,
    )


def _examples(train: Split, num_networks: int) -> list[Examples]:
    return [to_examples(train.images, train.labels, torch.device("cpu"))] * num_networks


def _steps(phase: NetworkPhase) -> Iterator[int]:
    while phase.step < phase.num_steps:
        phase.advance()
        yield len(phase.cells)
