"""Dynamic Network Surgery (Guo, Yao, Chen 2016, arXiv 1608.04493), as Zhou et al. (2019) used it.

The forward pass uses w * m. Its gradient, taken with respect to w * m, updates the *dense* w unmasked, so a
masked weight keeps moving and is spliced back once it is large again. Here the network's own parameters hold
w * m, and the dense weights lie beside it: no autograd trick is needed for the gradient to reach them whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rc_core.flat_tensors import FlatParameters
from rc_core.momentum import descend
from rc_core.recipes import PruneSchedule
from rc_core.schedules import prune_learning_rate, target_sparsity, update_probability


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


def updated_mask(weight: Tensor, mask: Tensor, prune_up_to: Tensor, splice_from: Tensor) -> Tensor:
    """The surgery itself (Guo et al. 2016, eq. 3): prune, keep or splice by magnitude.

    m' = 1 where |w| >= splice_from, 0 where |w| <= prune_up_to, m between them. Where both hold (only where
    all three are 0) the weight is kept.

    Args:
        weight: dense weight, any shape.
        mask: bool, same shape, True = kept.
        prune_up_to: lower edge of the band, .9 t for the threshold t; same shape, or a scalar.
        splice_from: upper edge of the band, 1.1 t; the same.

    Returns:
        New bool mask of the same shape.
    """
    magnitude = weight.abs()
    return (mask & (magnitude > prune_up_to)) | (magnitude >= splice_from)


class MaskCount(NamedTuple):
    """How many masks of K networks are off, and how often they were switched; all (K,) int64.

    Attributes:
        num_masked: masked weights.
        num_pruned: masks switched off since the start.
        num_spliced: masks switched on again since the start.
    """

    num_masked: Tensor
    num_pruned: Tensor
    num_spliced: Tensor


class DynamicNetworkSurgery:
    """Dense weights, masks and thresholds of K networks side by side, and the step that moves all three.

    All kernels share flat buffers, so a step costs a handful of operations however many kernels there are,
    and none of them asks the device for a number: a step can be captured and replayed.

    Attributes:
        kernels: the networks' prunable parameters by name, K times the rows of one network's; they hold w * m
            between steps.
        dense: w by name.
        masks: m by name, bool.
        thresholds: (K, num_kernels): t of every kernel in order; 0 until the first refresh.
        momentum: by name, as `dense`.

    Args:
        kernels: see above; their values are the warm start, masks start at one. They are moved into a flat
            buffer, in their memory layout.
        schedule: rates, ramp and rhythm.
        sparsities: target S in [0, 1) of every network.
        coins: for every network, (num_steps, num_kernels) uniforms in [0, 1); kernel k's mask is updated
            after a step where its coin is <= the update probability.
    """

    def __init__(
        self,
        kernels: Mapping[str, nn.Parameter],
        schedule: PruneSchedule,
        sparsities: Sequence[float],
        coins: Sequence[npt.NDArray[np.float64]],
    ) -> None:
        for each in coins:
            if each.shape[1] != len(kernels):
                raise ValueError(
                    f"coins.shape = {each.shape}: must have {len(kernels)} columns, one per kernel"
                )
        self.kernels = dict(kernels)
        self.schedule = schedule
        self.sparsities = tuple(sparsities)
        self._num_networks = len(self.sparsities)
        used = FlatParameters(self.kernels)
        self._parameters, self._used = used, used.values
        self._dense, self.dense = used.like()
        self._dense.copy_(self._used)
        self._mask, self.masks = used.like(torch.bool, fill=True)
        self._toggles, self._toggles_by_kernel = used.like(torch.int32)
        self._velocity, self.momentum = used.like()
        device, dtype = self._dense.device, self._dense.dtype
        self._toggles_before = torch.zeros(self._num_networks, dtype=torch.int64, device=device)
        self.thresholds = torch.zeros((self._num_networks, len(kernels)), dtype=dtype, device=device)
        # In memory, network follows network in each kernel: sizes of these parts, and every weight's part.
        self._sizes = [mask.numel() // self._num_networks for mask in self.masks.values() for _ in sparsities]
        self._place = torch.repeat_interleave(torch.tensor(self._sizes, device=device))
        self._prune_up_to, self._splice_from = torch.zeros_like(self._dense), torch.zeros_like(self._dense)
        self._due = self._due_table(coins, device)
        self._learning_rates = torch.tensor(
            [prune_learning_rate(schedule, step) for step in range(len(coins[0]))],
            dtype=dtype,
            device=device,
        )

    def _due_table(self, coins: Sequence[npt.NDArray[np.float64]], device: torch.device) -> Tensor:
        """(num_steps, num_kernels * K) bool: whose masks are updated after each step."""
        stacked = np.stack(coins, axis=2)
        probabilities = [
            update_probability(self.schedule, completed) for completed in range(1, len(stacked) + 1)
        ]
        due = stacked <= np.array(probabilities)[:, None, None]
        return torch.from_numpy(due.reshape(len(due), -1)).to(device)

    @torch.no_grad()
    def step(self, at: Tensor, refresh: int | None = None) -> None:
        """Move the dense weights by the gradient of w * m, then operate on the masks.

        Args:
            at: (1,) int64 on the device: steps completed before this one; the kernels' `.grad` is the
                gradient with respect to w * m.
            refresh: completed steps with this one, where thresholds are due to be refreshed after it.
        """
        descend(
            self._dense,
            self._parameters.gather_gradients(),
            self._velocity,
            rate=self._learning_rates.index_select(0, at),
            momentum=self.schedule.momentum,
            nesterov=False,
        )
        if refresh is not None:
            self._refresh_thresholds(refresh)
        self._update_masks(at)
        self._mask_weights()

    def _mask_weights(self) -> None:
        """Give the networks w * m; on CPUs bytes become floats far faster than booleans do."""
        self._used.copy_(self._mask.view(torch.uint8)).mul_(self._dense)

    def _refresh_thresholds(self, completed: int) -> None:
        targets = [target_sparsity(self.schedule, sparsity, completed) for sparsity in self.sparsities]
        parts = zip(self._dense.split(self._sizes), cycle(targets))
        thresholds = torch.stack([magnitude_threshold(weight, target) for weight, target in parts])
        self.thresholds.copy_(thresholds.unflatten(0, (-1, self._num_networks)).T)
        self._spread_thresholds()

    def _spread_thresholds(self) -> None:
        """Give every weight the two edges of its kernel's band."""
        for edge, factor in (
            (self._prune_up_to, self.schedule.prune_below),
            (self._splice_from, self.schedule.splice_above),
        ):
            torch.index_select((factor * self.thresholds).T.flatten(), 0, self._place, out=edge)

    def _update_masks(self, at: Tensor) -> None:
        due = self._due.index_select(0, at)[0].index_select(0, self._place)
        new = updated_mask(self._dense, self._mask, self._prune_up_to, self._splice_from)
        changed = (new ^ self._mask) & due
        self._toggles += changed
        self._mask ^= changed

    @torch.no_grad()
    def commit(self) -> None:
        """Make the masked values final: w := w * m. Evaluate after this (uncommitted weights score lower)."""
        self._dense *= self._mask
        self._used.copy_(self._dense)

    @torch.no_grad()
    def restore(
        self,
        *,
        dense: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        momentum: Mapping[str, Tensor],
        thresholds: Tensor,
        num_pruned: Tensor,
        num_spliced: Tensor,
    ) -> None:
        """Continue from values that the attributes of these names had; momentum may be empty."""
        for mine, theirs in ((self.dense, dense), (self.masks, masks), (self.momentum, momentum)):
            for name, tensor in theirs.items():
                mine[name].copy_(tensor)
        self.thresholds.copy_(thresholds)
        self._spread_thresholds()
        self._toggles.zero_()
        self._toggles_before.copy_(num_pruned + num_spliced)
        self._mask_weights()

    def num_kept(self) -> dict[str, Tensor]:
        """Unmasked weights by kernel name, (K,) int64."""
        return {name: self._per_network(mask) for name, mask in self.masks.items()}

    @property
    def num_weights(self) -> int:
        """Prunable weights of one network."""
        return len(self._dense) // self._num_networks

    def count(self) -> MaskCount:
        """Masks now, and what became of them since the start."""
        num_kept = torch.stack(list(self.num_kept().values())).sum(dim=0)
        num_masked = self.num_weights - num_kept
        toggles = [self._per_network(view) for view in self._toggles_by_kernel.values()]
        num_toggles = self._toggles_before + torch.stack(toggles).sum(dim=0)
        # Every mask starts at one, so pruned + spliced = toggles, and pruned - spliced = masked.
        return MaskCount(num_masked, (num_toggles + num_masked) // 2, (num_toggles - num_masked) // 2)

    def achieved_sparsity(self, count: MaskCount | None = None) -> Tensor:
        """Masked / prunable weights, (K,) float64 in [0, 1]; below the target, see the band."""
        return (count or self.count()).num_masked.double() / self.num_weights

    def _per_network(self, tensor: Tensor) -> Tensor:
        by_network: Tensor = tensor.unflatten(0, (self._num_networks, -1))
        return by_network.flatten(1).sum(dim=1)
