"""The loop of optimisation steps that both phases of a cell share, and the first phase, dense training.

A phase trains K networks of one shape as one module, one network a cell (resnet.py). A single cell is K = 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from rc_core.batches import Batches
from rc_core.cells import Cell, TrainCell
from rc_core.device_step import DeviceStep, Numerics
from rc_core.examples import Examples
from rc_core.flat_tensors import FlatParameters
from rc_core.history import DivergenceError, History, Window, log_due
from rc_core.momentum import descend
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.resnet import ResNet
from rc_core.schedules import train_learning_rate
from rc_core.seeding import stream
from rc_core.stacking import stack_states, state_of


class Phase(Protocol):
    """A run of optimisation steps that can be saved and restored between any two of them."""

    step: int
    num_steps: int

    def advance(self) -> None:
        """Do one optimisation step."""
        ...

    def finish(self) -> None:
        """Bring the networks into the form in which they are evaluated."""
        ...


Hook = Callable[[Any], None]


def run_phase(phase: Phase, hooks: Iterable[Hook] = ()) -> None:
    """Do the steps that are left; after each, every hook sees the phase and may raise to stop it.

    Raises:
        DivergenceError: no network of the phase has a finite loss.
    """
    hooks = tuple(hooks)
    while phase.step < phase.num_steps:
        phase.advance()
        for hook in hooks:
            hook(phase)
    phase.finish()


def build_model(
    recipe: Recipe, *, in_channels: int, num_classes: int, device: torch.device, num_networks: int = 1
) -> ResNet:
    """The recipe's network, or K of them, not yet initialised, in channels_last memory."""
    model = ResNet(
        depth=recipe.depth,
        width=recipe.width,
        in_channels=in_channels,
        num_classes=num_classes,
        batch_norm_momentum=recipe.batch_norm_momentum,
        num_networks=num_networks,
    )
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class NetworkPhase(ABC):
    """What training and surgery share: batches, gradients, curves, and the state of each network.

    A network whose loss is no longer finite is noted in `diverged`; the others go on, since nothing of one
    network enters another.

    Attributes:
        cells: one a network.
        model: the networks, side by side.
        step: completed steps.
        num_steps: of the whole phase.
        histories: curves, one a network.
        diverged: why, by index of the network.

    Args:
        cells: see above; of one kind.
        schedule: of the phase.
        model: K networks, not yet initialised.
        examples: one a network.
        numerics: see there.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        schedule: TrainSchedule | PruneSchedule,
        model: ResNet,
        examples: Sequence[Examples],
        numerics: Numerics,
    ) -> None:
        device = examples[0].labels.device
        self.cells = tuple(cells)
        self.model = model
        self.step, self.num_steps = 0, schedule.num_steps
        self.histories = [History() for _ in cells]
        self.diverged: dict[int, DivergenceError] = {}
        self._window = Window(device, len(cells))
        self._batches = Batches(cells, examples, schedule)
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._device_step = DeviceStep(self._forward_backward_update, numerics, device)
        self._forward = numerics.compiled(model)
        self._autocast = numerics.autocast(device)

    @abstractmethod
    def _update(self, refresh: int | None) -> None:
        """Move the weights by their gradients; asks the device for nothing, so that it can be captured."""

    @abstractmethod
    def _logged(self) -> list[dict[str, float]]:
        """Further entries of each network's curves, for the step just done."""

    @abstractmethod
    def tensors(self, network: int = 0) -> dict[str, Tensor]:
        """All tensor state of one network by name."""

    @abstractmethod
    def _restore_tensors(self, tensors: Sequence[Mapping[str, Tensor]]) -> None:
        """Continue from what `tensors` gave for each network."""

    @abstractmethod
    def finish(self) -> None:
        """See `Phase`."""

    def _refresh(self, completed: int) -> int | None:
        """The step's number where it needs the host, and so is not replayed; None where it does not."""
        return None

    def advance(self) -> None:
        """See `Phase`."""
        self._device_step(self._refresh(self.step + 1))
        self.step += 1
        if log_due(self.step, self.num_steps):
            self._log()

    def _forward_backward_update(self, refresh: int | None = None) -> None:
        images, labels = self._batches.at(self._at)
        with self._autocast():
            logits = self._forward(images)
        # (B, K * classes) -> (K, B, classes): the mean of each network's batch, the sum of all networks, so
        # that every network has its own gradient.
        logits = logits.float().unflatten(1, (len(self.cells), -1)).transpose(0, 1).contiguous()
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view_as(labels).mean(dim=1)
        losses.sum().backward()
        self._window.add(losses.detach(), logits.detach(), labels)
        self._update(refresh)
        self._at += 1

    def _log(self) -> None:
        logged = self._logged()
        for network, means in enumerate(self._window.flush()):
            if network in self.diverged:
                continue
            if not math.isfinite(means["train_loss"]):
                self.diverged[network] = DivergenceError(
                    f"training diverged: the loss is {means['train_loss']} at or shortly before step "
                    f"{self.step}; lower the learning rate or change the seed"
                )
                continue
            self.histories[network].append(step=self.step, **means, **logged[network])
        if len(self.diverged) == len(self.cells):
            raise self.diverged[0]

    def network_state(self, network: int) -> dict[str, Tensor]:
        """State dictionary of one network, as of a model of its own."""
        return state_of(self.model.state_dict(), network, len(self.cells))

    def restore(
        self,
        step: int,
        tensors: Sequence[Mapping[str, Tensor]],
        histories: Sequence[dict[str, list[float]]],
    ) -> None:
        """Continue from a state that `tensors` and `histories` gave after `step` steps, for each network."""
        self.step = step
        self._at.fill_(step)
        self.histories = [
            History({name: list(values) for name, values in each.items()}) for each in histories
        ]
        self.model.load_state_dict(stack_states([select(each, "model.") for each in tensors]))
        self._window.sums.copy_(torch.stack([each["window"] for each in tensors]))
        self._restore_tensors(tensors)


class DenseTraining(NetworkPhase):
    """Training from scratch with Nesterov SGD on softmax cross-entropy; no weight decay, no augmentation."""

    def __init__(
        self,
        cells: Sequence[TrainCell],
        recipe: Recipe,
        model: ResNet,
        examples: Sequence[Examples],
        numerics: Numerics | None = None,
    ) -> None:
        super().__init__(cells, recipe.train, model, examples, numerics or Numerics())
        model.load_state_dict(stack_states([initial_state(recipe, model, cell.seed) for cell in cells]))
        model.train()
        self._settings = recipe.train
        self._rates = [train_learning_rate(recipe.train, step) for step in range(self.num_steps)]
        self._parameters = FlatParameters(dict(model.named_parameters()))
        self._velocity, self._momentum = self._parameters.like()
        self._rates_on_device = torch.tensor(
            self._rates, dtype=self._velocity.dtype, device=self._velocity.device
        )

    def _update(self, refresh: int | None) -> None:
        descend(
            self._parameters.values,
            self._parameters.gather_gradients(),
            self._velocity,
            rate=self._rates_on_device.index_select(0, self._at),
            momentum=self._settings.momentum,
            nesterov=True,
        )

    def finish(self) -> None:
        """See `Phase`; a dense network is evaluated as it is."""

    def _logged(self) -> list[dict[str, float]]:
        return [{"learning_rate": self._rates[self.step - 1]} for _ in self.cells]

    def tensors(self, network: int = 0) -> dict[str, Tensor]:
        """See `NetworkPhase`."""
        return (
            named("model.", self.network_state(network))
            | named("momentum.", state_of(self._momentum, network, len(self.cells)))
            | {"window": self._window.sums[network]}
        )

    def _restore_tensors(self, tensors: Sequence[Mapping[str, Tensor]]) -> None:
        for name, momentum in stack_states([select(each, "momentum.") for each in tensors]).items():
            self._momentum[name].copy_(momentum)


def initial_state(recipe: Recipe, like: ResNet, seed: int) -> dict[str, Tensor]:
    """State of one freshly initialised network, for a stack of networks like it."""
    stem = like.stem.weight
    model = build_model(
        recipe,
        in_channels=stem.shape[1],
        num_classes=like.classifier.bias.numel() // like.num_networks,
        device=stem.device,
    )
    model.initialize(int(stream(seed, "init").integers(2**63)))
    return model.state_dict()


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under longer names, as part of a checkpoint."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, without the prefix in their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
