"""The second phase of a cell: pruning by Dynamic Network Surgery, warm-started from the trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rc_core.cells import PruneCell
from rc_core.device_step import Numerics
from rc_core.examples import Examples
from rc_core.pruning.dns import DynamicNetworkSurgery
from rc_core.recipes import Recipe
from rc_core.resnet import ResNet, kernels
from rc_core.schedules import prune_learning_rate, target_sparsity, threshold_due, update_probability
from rc_core.seeding import mask_coins
from rc_core.stacking import stack_states, state_of
from rc_core.training import NetworkPhase, named, select


class Surgery(NetworkPhase):
    """Only the kernels are trained; batch-norm statistics keep updating, its scales and all biases stay.

    Args:
        warm_starts: state of each network's parent, by name.
    """

    def __init__(
        self,
        cells: Sequence[PruneCell],
        recipe: Recipe,
        model: ResNet,
        examples: Sequence[Examples],
        warm_starts: Sequence[Mapping[str, Tensor]],
        numerics: Numerics | None = None,
    ) -> None:
        super().__init__(cells, recipe.prune, model, examples, numerics or Numerics())
        self.schedule = recipe.prune
        model.load_state_dict(stack_states(warm_starts))
        model.train()
        weights = kernels(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in weights)
        self.surgery = DynamicNetworkSurgery(
            weights,
            self.schedule,
            [cell.sparsity for cell in cells],
            [mask_coins(cell.seed, num_steps=self.num_steps, num_kernels=len(weights)) for cell in cells],
        )

    def _refresh(self, completed: int) -> int | None:
        return completed if threshold_due(self.schedule, completed) else None

    def _update(self, refresh: int | None) -> None:
        self.surgery.step(self._at, refresh)

    def _logged(self) -> list[dict[str, float]]:
        surgery, schedule = self.surgery, self.schedule
        count = surgery.count()
        numbers = zip(
            surgery.sparsities,
            surgery.achieved_sparsity(count).tolist(),
            count.num_pruned.tolist(),
            count.num_spliced.tolist(),
            strict=True,
        )
        return [
            {
                "learning_rate": prune_learning_rate(schedule, self.step - 1),
                "sparsity_target": target_sparsity(schedule, target, self.step),
                "sparsity": sparsity,
                "update_probability": update_probability(schedule, self.step),
                "num_pruned": num_pruned,
                "num_spliced": num_spliced,
            }
            for target, sparsity, num_pruned, num_spliced in numbers
        ]

    def finish(self) -> None:
        """See `Phase`; masked values are committed before anything is measured."""
        self.surgery.commit()

    def num_kept(self, network: int = 0) -> dict[str, int]:
        """Unmasked weights of one network by kernel name."""
        return {name: int(number[network]) for name, number in self.surgery.num_kept().items()}

    def achieved_sparsity(self, network: int = 0) -> float:
        """Masked / prunable weights of one network, [0, 1]."""
        return float(self.surgery.achieved_sparsity()[network])

    def masks(self, network: int = 0) -> dict[str, Tensor]:
        """Masks of one network by kernel name."""
        return state_of(self.surgery.masks, network, len(self.cells))

    def tensors(self, network: int = 0) -> dict[str, Tensor]:
        """See `NetworkPhase`."""
        surgery, num_networks = self.surgery, len(self.cells)
        count = surgery.count()
        return (
            named("model.", self.network_state(network))
            | named("dense.", state_of(surgery.dense, network, num_networks))
            | named("mask.", self.masks(network))
            | named("momentum.", state_of(surgery.momentum, network, num_networks))
            | {
                "thresholds": surgery.thresholds[network],
                "num_pruned": count.num_pruned[network],
                "num_spliced": count.num_spliced[network],
                "window": self._window.sums[network],
            }
        )

    def _restore_tensors(self, tensors: Sequence[Mapping[str, Tensor]]) -> None:
        def together(name: str) -> Tensor:
            return torch.stack([each[name] for each in tensors])

        self.surgery.restore(
            dense=stack_states([select(each, "dense.") for each in tensors]),
            masks=stack_states([select(each, "mask.") for each in tensors]),
            momentum=stack_states([select(each, "momentum.") for each in tensors]),
            thresholds=together("thresholds"),
            num_pruned=together("num_pruned"),
            num_spliced=together("num_spliced"),
        )
