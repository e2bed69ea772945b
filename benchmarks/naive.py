"""The usual way to write the experiment, as the baseline: a loader, per-item transforms, eager NCHW steps.

What a competent researcher would write in an afternoon: a torch `DataLoader` over PIL images with torchvision
transforms, torch's optimizer and scheduler, masks as parametrizations, thresholds by `torch.quantile`, and
the loss logged at every step. Network, schedules and method are the product's, with one difference: a
threshold is computed whenever its mask is updated, not 40 times in a run. Nothing is slowed down on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.naive_network import NaiveResNet
from rc_core.recipes import PruneSchedule, Recipe
from rc_core.schedules import (
    prune_learning_rate,
    target_sparsity,
    train_learning_rate,
    update_probability,
)


class LabelledImages(Dataset[tuple[Tensor, int]]):
    """Images and labels, one item at a time, as torchvision's CIFAR-10 gives them.

    Args:
        images: (n, H, W, C) uint8, C = 1 or 3.
        labels: (n,) int64.
    """

    def __init__(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        self.images = images[..., 0] if images.shape[3] == 1 else images
        self.labels = labels
        self.transform = transforms.Compose([transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return self.transform(image), int(self.labels[index])


def build_network(recipe: Recipe, *, in_channels: int, num_classes: int) -> NaiveResNet:
    """The recipe's network with torch's own initialisation."""
    return NaiveResNet(
        depth=recipe.depth,
        width=recipe.width,
        in_channels=in_channels,
        num_classes=num_classes,
        batch_norm_momentum=recipe.batch_norm_momentum,
    )


def train_steps(
    recipe: Recipe, network: nn.Module, dataset: LabelledImages, *, num_steps: int, num_workers: int = 0
) -> Iterator[float]:
    """Train from scratch, and yield the batch's loss after every step.

    Args:
        recipe: schedule and batch size.
        network: is trained in place.
        dataset: at least one batch of examples.
        num_steps: steps to do.
        num_workers: processes that load batches; 0 loads them here.
    """
    schedule = recipe.train
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, momentum=schedule.momentum, nesterov=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: train_learning_rate(schedule, step))
    network.train()
    for images, labels in batches(dataset, schedule.batch_size, num_steps, num_workers):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        yield loss.item()


def prune_steps(
    recipe: Recipe,
    network: nn.Module,
    dataset: LabelledImages,
    *,
    sparsity: float,
    num_steps: int,
    num_workers: int = 0,
    seed: int = 0,
) -> Iterator[float]:
    """Prune by Dynamic Network Surgery, and yield the batch's loss after every step.

    Only the kernels are trained. After the last step their masked values are the network's own parameters.

    Args:
        recipe: schedule and batch size.
        network: a trained network; is pruned in place.
        dataset: at least one batch of examples.
        sparsity: target S in [0, 1).
        num_steps: steps to do; the schedule is `recipe.prune`'s, whatever their number.
        num_workers: processes that load batches; 0 loads them here.
        seed: of the draws that decide which masks are updated after a step.
    """
    schedule = recipe.prune
    layers: list[Any] = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    network.requires_grad_(False)
    for layer in layers:
        layer.weight.requires_grad_(True)
        parametrize.register_parametrization(layer, "weight", MaskedWeight(layer.weight))
    parameters = [layer.parametrizations.weight.original for layer in layers]
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=schedule.momentum)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: prune_learning_rate(schedule, step))
    generator = random.Random(seed)
    network.train()
    for step, (images, labels) in enumerate(batches(dataset, schedule.batch_size, num_steps, num_workers), 1):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        for layer in layers:
            if generator.random() <= update_probability(schedule, step):
                masked = layer.parametrizations.weight
                masked[0].update(masked.original, target_sparsity(schedule, sparsity, step), schedule)
        yield loss.item()
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")


def batches(
    dataset: LabelledImages, batch_size: int, num_batches: int, num_workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches over as many epochs as it takes; all of equal size, so that steps are comparable."""
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        dataset,  # type: ignore[arg-type]  # the loader's items are batches
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    if not len(loader):
        raise ValueError(f"batch_size = {batch_size}: must be at most the {len(dataset)} examples")
    num_left = num_batches
    while num_left > 0:
        for batch in loader:
            yield batch
            num_left -= 1
            if num_left == 0:
                break


class StraightThrough(torch.autograd.Function):
    """w * m whose gradient reaches all of w, so that masked weights keep moving."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        return weight * mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient with respect to w * m, unmasked."""
        return gradient, None


class MaskedWeight(nn.Module):
    """Parametrization of a weight by w * m."""

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """See the class."""
        masked: Tensor = StraightThrough.apply(weight, self.mask)
        return masked

    @torch.no_grad()
    def update(self, weight: Tensor, sparsity: float, schedule: PruneSchedule) -> None:
        """Mask what lies below the band around the threshold, and unmask what lies above it."""
        magnitude = weight.abs()
        threshold = torch.quantile(magnitude, sparsity)
        self.mask[magnitude <= schedule.prune_below * threshold] = 0
        self.mask[magnitude >= schedule.splice_above * threshold] = 1
