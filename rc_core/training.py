"""The two phases of a cell, dense training and surgery, and the loop that both share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rc_core.cells import PruneCell, TrainCell
from rc_core.examples import Examples
from rc_core.history import History, Window, log_due
from rc_core.pruning.dns import DynamicNetworkSurgery
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.resnet import ResNet, kernels
from rc_core.schedules import (
    prune_learning_rate,
    target_sparsity,
    train_learning_rate,
    update_probability,
)
from rc_core.seeding import batch_order, mask_coins, stream


class Phase(Protocol):
    """A run of optimisation steps that can be saved and restored between any two of them."""

    model: ResNet
    history: History
    step: int
    num_steps: int

    def advance(self) -> None:
        """Do one optimisation step."""
        ...

    def finish(self) -> None:
        """Bring the network into the form in which it is evaluated."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All tensor state by name."""
        ...

    def restore(self, step: int, tensors: dict[str, Tensor], history: dict[str, list[float]]) -> None:
        """Continue from a state that `tensors` and `history` gave after `step` steps."""
        ...


Hook = Callable[[Phase], None]


def run_phase(phase: Phase, hooks: Iterable[Hook] = ()) -> None:
    """Do the steps that are left; after each, every hook sees the phase and may raise to stop it.

    Raises:
        DivergenceError: the loss is no longer finite.
    """
    hooks = tuple(hooks)
    while phase.step < phase.num_steps:
        phase.advance()
        for hook in hooks:
            hook(phase)
    phase.finish()


def build_model(recipe: Recipe, *, in_channels: int, num_classes: int, device: torch.device) -> ResNet:
    """The recipe's network, not yet initialised, in channels_last memory."""
    model = ResNet(
        depth=recipe.depth,
        width=recipe.width,
        in_channels=in_channels,
        num_classes=num_classes,
        batch_norm_momentum=recipe.batch_norm_momentum,
    )
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def order_on_device(
    seed: int, phase: str, examples: Examples, schedule: TrainSchedule | PruneSchedule
) -> Tensor:
    """`batch_order` of a phase, (num_steps, batch_size) int64 beside the examples."""
    order = batch_order(
        seed,
        phase,
        num_examples=len(examples),
        batch_size=schedule.batch_size,
        num_steps=schedule.num_steps,
    )
    return torch.from_numpy(order).to(examples.labels.device)


def backward(model: nn.Module, examples: Examples, indices: Tensor, window: Window) -> None:
    """Add the gradient of the batch's mean cross-entropy to the parameters' `.grad`, and log the batch.

    Args:
        model: in training mode; its batch-norm statistics move.
        examples: what the indices point into.
        indices: (B,) int64.
        window: collects loss and accuracy of the batch as it was before the step.
    """
    images, labels = examples.batch(indices)
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    window.add(loss, logits, labels)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def momentum_buffers(optimizer: torch.optim.SGD, names: Iterable[str]) -> dict[str, Tensor]:
    """Momentum of an SGD optimizer by parameter name; empty before the first step."""
    parameters = optimizer.param_groups[0]["params"]
    return {
        name: optimizer.state[parameter]["momentum_buffer"]
        for name, parameter in zip(names, parameters, strict=True)
        if parameter in optimizer.state
    }


def restore_momentum(optimizer: torch.optim.SGD, names: Iterable[str], buffers: dict[str, Tensor]) -> None:
    """Inverse of `momentum_buffers`; the optimizer takes copies in the parameters' memory layout."""
    for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True):
        if name in buffers:
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffers[name])


class DenseTraining:
    """Training from scratch with Nesterov SGD on softmax cross-entropy; no weight decay, no augmentation."""

    def __init__(self, cell: TrainCell, recipe: Recipe, model: ResNet, examples: Examples) -> None:
        self.schedule = recipe.train
        self.model = model
        self.examples = examples
        self.step, self.num_steps = 0, self.schedule.num_steps
        self.history = History()
        self._window = Window(examples.labels.device)
        model.initialize(int(stream(cell.seed, "init").integers(2**63)))
        model.train()
        self._names = [name for name, _ in model.named_parameters()]
        self._optimizer = torch.optim.SGD(
            model.parameters(), lr=0.0, momentum=self.schedule.momentum, nesterov=True, foreach=True
        )
        self._order = order_on_device(cell.seed, "train", examples, self.schedule)

    def advance(self) -> None:
        """See `Phase`."""
        self._optimizer.zero_grad()
        backward(self.model, self.examples, self._order[self.step], self._window)
        learning_rate = train_learning_rate(self.schedule, self.step)
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        self.step += 1
        if log_due(self.step, self.num_steps):
            means = self._window.flush(self.step)
            self.history.append(step=self.step, learning_rate=learning_rate, **means)

    def finish(self) -> None:
        """See `Phase`; a dense network is evaluated as it is."""

    def tensors(self) -> dict[str, Tensor]:
        """See `Phase`."""
        momentum = momentum_buffers(self._optimizer, self._names)
        return (
            _named("model.", self.model.state_dict())
            | _named("momentum.", momentum)
            | {"window": self._window.sums}
        )

    def restore(self, step: int, tensors: dict[str, Tensor], history: dict[str, list[float]]) -> None:
        """See `Phase`."""
        self.step, self.history = step, History(history)
        self.model.load_state_dict(select(tensors, "model."))
        restore_momentum(self._optimizer, self._names, select(tensors, "momentum."))
        self._window.sums.copy_(tensors["window"])


class Surgery:
    """Pruning by Dynamic Network Surgery, warm-started from a trained network.

    Only the kernels are trained; batch-norm statistics keep updating, its scales and all biases stay.
    """

    def __init__(
        self,
        cell: PruneCell,
        recipe: Recipe,
        model: ResNet,
        examples: Examples,
        warm_start: dict[str, Tensor],
    ) -> None:
        self.schedule = recipe.prune
        self.sparsity = cell.sparsity
        self.model = model
        self.examples = examples
        self.step, self.num_steps = 0, self.schedule.num_steps
        self.history = History()
        self._window = Window(examples.labels.device)
        model.load_state_dict(warm_start)
        model.train()
        weights = kernels(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in weights)
        self.surgery = DynamicNetworkSurgery(
            weights,
            self.schedule,
            cell.sparsity,
            mask_coins(cell.seed, num_steps=self.num_steps, num_kernels=len(weights)),
        )
        self._order = order_on_device(cell.seed, "prune", examples, self.schedule)

    def advance(self) -> None:
        """See `Phase`."""
        self.model.zero_grad()
        backward(self.model, self.examples, self._order[self.step], self._window)
        self.surgery.step(self.step)
        self.step += 1
        if log_due(self.step, self.num_steps):
            means = self._window.flush(self.step)
            self.history.append(
                step=self.step,
                learning_rate=prune_learning_rate(self.schedule, self.step - 1),
                **means,
                sparsity_target=target_sparsity(self.schedule, self.sparsity, self.step),
                sparsity=self.surgery.achieved_sparsity(),
                update_probability=update_probability(self.schedule, self.step),
                num_pruned=int(self.surgery.num_pruned),
                num_spliced=int(self.surgery.num_spliced),
            )

    def finish(self) -> None:
        """See `Phase`; masked values are committed before anything is measured."""
        self.surgery.commit()

    def tensors(self) -> dict[str, Tensor]:
        """See `Phase`."""
        surgery = self.surgery
        return (
            _named("model.", self.model.state_dict())
            | _named("dense.", surgery.dense)
            | _named("mask.", surgery.masks)
            | _named("momentum.", momentum_buffers(surgery.optimizer, surgery.dense))
            | {
                "thresholds": surgery.thresholds,
                "num_pruned": surgery.num_pruned,
                "num_spliced": surgery.num_spliced,
                "window": self._window.sums,
            }
        )

    def restore(self, step: int, tensors: dict[str, Tensor], history: dict[str, list[float]]) -> None:
        """See `Phase`."""
        self.step, self.history = step, History(history)
        self.model.load_state_dict(select(tensors, "model."))
        surgery = self.surgery
        with torch.no_grad():
            for name, dense in select(tensors, "dense.").items():
                surgery.dense[name].copy_(dense)
            for name, mask in select(tensors, "mask.").items():
                surgery.masks[name].copy_(mask)
            surgery.thresholds.copy_(tensors["thresholds"])
            surgery.num_pruned.copy_(tensors["num_pruned"])
            surgery.num_spliced.copy_(tensors["num_spliced"])
            self._window.sums.copy_(tensors["window"])
        restore_momentum(surgery.optimizer, surgery.dense, select(tensors, "momentum."))


def select(tensors: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """The tensors of one part of a checkpoint, without the prefix in their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
