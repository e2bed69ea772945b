"""The batches of a phase, for every network of a stack, found on the device without the host's help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rc_core.cells import Cell
from rc_core.examples import Examples
from rc_core.recipes import PruneSchedule, TrainSchedule
from rc_core.seeding import batch_order


class Batch(NamedTuple):
    """One batch for each of K networks.

    Attributes:
        images: (B, K * C, H, W) float32 in [0, 1], in channels_last memory.
        labels: (K, B) int64.
    """

    images: Tensor
    labels: Tensor


class Batches:
    """Which examples every network of a stack sees at each step.

    Args:
        cells: one a network; networks of one seed see the same examples, whatever their labels.
        examples: one a network; the images are the same for all.
        schedule: batch size and number of steps.
    """

    def __init__(
        self, cells: Sequence[Cell], examples: Sequence[Examples], schedule: TrainSchedule | PruneSchedule
    ) -> None:
        device = examples[0].labels.device
        self._images = examples[0].images
        self._labels = torch.stack([each.labels for each in examples])
        seeds = sorted({cell.seed for cell in cells})
        orders = [
            batch_order(
                seed,
                cells[0].phase,
                num_examples=len(examples[0]),
                batch_size=schedule.batch_size,
                num_steps=schedule.num_steps,
            )
            for seed in seeds
        ]
        self._order = torch.from_numpy(np.stack(orders, axis=1)).to(device)
        self._order_of = torch.tensor([seeds.index(cell.seed) for cell in cells], device=device)

    def at(self, step: Tensor) -> Batch:
        """The batch of a step.

        Args:
            step: (1,) int64 on the device: steps completed before this one.
        """
        indices = self._order.index_select(0, step)[0]
        if len(self._order_of) > 1:
            indices = indices.index_select(0, self._order_of)
        images = self._images.index_select(0, indices.flatten())
        # (K, B, H, W, C) uint8 -> (B, H, W, K, C): an NHWC tensor seen as NCHW is channels_last already.
        images = images.unflatten(0, indices.shape).permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)
        return Batch(images.to(torch.float32).div_(255), self._labels.gather(1, indices))
