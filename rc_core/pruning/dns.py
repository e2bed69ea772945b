"""Dynamic Network Surgery (Guo, Yao, Chen 2016, arXiv 1608.04493), as Zhou et al. (2019) used it.

The forward pass uses w * m. Its gradient, taken with respect to w * m, updates the *dense* w unmasked, so a
masked weight keeps moving and is spliced back once it is large again. Here the network's own parameters hold
w * m, and the dense weights lie beside it: no autograd trick is needed for the gradient to reach them whole.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rc_core.recipes import PruneSchedule
from rc_core.schedules import prune_learning_rate, target_sparsity, threshold_due, update_probability


def magnitude_threshold(weight: Tensor, sparsity: float) -> Tensor:
    """The percentile 100 * sparsity of |w|, nearest rank: the element of index round((n - 1) * sparsity).

    A half rounds to the even index, as in numpy's `percentile(..., method="nearest")`.

    Args:
        weight: any shape, n elements.
        sparsity: [0, 1].

    Returns:
        Scalar of the weight's dtype, >= 0.
    """
    rank = round((weight.numel() - 1) * sparsity)
    return weight.abs().flatten().kthvalue(rank + 1).values


def updated_mask(
    weight: Tensor, mask: Tensor, threshold: Tensor, *, prune_below: float = 0.9, splice_above: float = 1.1
) -> Tensor:
    """The surgery itself (Guo et al. 2016, eq. 3): prune, keep or splice by magnitude.

    m' = 1 where |w| >= splice_above * t, 0 where |w| <= prune_below * t, m between them. Where both hold
    (only at t = 0 = |w|) the weight is kept.

    Args:
        weight: dense weight, any shape.
        mask: bool, same shape, True = kept.
        threshold: scalar t >= 0.
        prune_below: lower edge of the band, in units of t.
        splice_above: upper edge of the band, in units of t.

    Returns:
        New bool mask of the same shape.
    """
    magnitude = weight.abs()
    return (mask & (magnitude > prune_below * threshold)) | (magnitude >= splice_above * threshold)


class DynamicNetworkSurgery:
    """Dense weights, masks and thresholds of a network, and the step that moves all three.

    Attributes:
        kernels: the network's prunable parameters by name; they hold w * m between steps.
        dense: w by name.
        masks: m by name, bool.
        thresholds: t of every kernel in order, (num_kernels,); 0 until the first refresh.
        num_pruned: masks switched off since the start, scalar int64.
        num_spliced: masks switched on again since the start, scalar int64.

    Args:
        kernels: see above; their values are the warm start, masks start at one.
        schedule: rates, ramp and rhythm.
        sparsity: target S in [0, 1).
        coins: (num_steps, num_kernels) uniforms in [0, 1); kernel k's mask is updated after a step where its
            coin is <= the update probability.
    """

    def __init__(
        self,
        kernels: Mapping[str, nn.Parameter],
        schedule: PruneSchedule,
        sparsity: float,
        coins: npt.NDArray[np.float64],
    ) -> None:
        if coins.shape[1] != len(kernels):
            raise ValueError(f"coins.shape = {coins.shape}: must have {len(kernels)} columns, one per kernel")
        self.kernels = dict(kernels)
        self.schedule = schedule
        self.sparsity = sparsity
        self._coins = coins
        weights = list(self.kernels.values())
        self.dense = {name: weight.detach().clone() for name, weight in self.kernels.items()}
        self.masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in self.dense.items()}
        self.thresholds = torch.zeros(len(weights), dtype=weights[0].dtype, device=weights[0].device)
        self.num_pruned = torch.zeros((), dtype=torch.int64, device=weights[0].device)
        self.num_spliced = torch.zeros((), dtype=torch.int64, device=weights[0].device)
        self.optimizer = torch.optim.SGD(
            self.dense.values(), lr=schedule.learning_rate, momentum=schedule.momentum, foreach=True
        )

    @torch.no_grad()
    def step(self, step: int) -> None:
        """Move the dense weights by the gradient of w * m, then operate on the masks.

        Args:
            step: steps completed before this one; the kernels' `.grad` is the gradient with respect to w * m.
        """
        for name, kernel in self.kernels.items():
            self.dense[name].grad = kernel.grad
        self.optimizer.param_groups[0]["lr"] = prune_learning_rate(self.schedule, step)
        self.optimizer.step()
        completed = step + 1
        if threshold_due(self.schedule, completed):
            self._refresh_thresholds(completed)
        self._update_masks(completed)
        self._write_back()

    def _refresh_thresholds(self, completed: int) -> None:
        sparsity = target_sparsity(self.schedule, self.sparsity, completed)
        for index, weight in enumerate(self.dense.values()):
            self.thresholds[index] = magnitude_threshold(weight, sparsity)

    def _update_masks(self, completed: int) -> None:
        due = self._coins[completed - 1] <= update_probability(self.schedule, completed)
        for index, (name, weight) in enumerate(self.dense.items()):
            if not due[index]:
                continue
            old = self.masks[name]
            new = updated_mask(
                weight,
                old,
                self.thresholds[index],
                prune_below=self.schedule.prune_below,
                splice_above=self.schedule.splice_above,
            )
            self.num_pruned += (old & ~new).sum()
            self.num_spliced += (new & ~old).sum()
            self.masks[name] = new

    def _write_back(self) -> None:
        for name, kernel in self.kernels.items():
            torch.mul(self.dense[name], self.masks[name], out=kernel)

    @torch.no_grad()
    def commit(self) -> None:
        """Make the masked values final: w := w * m. Evaluate after this (uncommitted weights score lower)."""
        for name, mask in self.masks.items():
            self.dense[name].mul_(mask)
        self._write_back()

    def num_kept(self) -> dict[str, int]:
        """Unmasked weights by kernel name."""
        return {name: int(mask.sum()) for name, mask in self.masks.items()}

    def achieved_sparsity(self) -> float:
        """Masked / prunable weights, [0, 1]; below the target, as masks inside the band keep their state."""
        total = sum(mask.numel() for mask in self.masks.values())
        return 1 - sum(self.num_kept().values()) / total
