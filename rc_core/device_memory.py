"""Device memory that a process with K networks needs, estimated before it starts, and its cap on a GPU.

Every step keeps, for the backward pass, the input of each batch normalisation and the output of each ReLU; a
convolution's input is one of the latter. That is most of the need at the paper's size; the rest is counted
from the tensors of training.py, surgery.py and batches.py. Estimates are of eager steps; compiled ones keep
less.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from rc_core.device_step import PRECISIONS
from rc_core.evaluation import EVALUATION_BATCH_SIZE
from rc_core.recipes import Recipe

_FLOAT32_BYTES, _INT64_BYTES = 4, 8

# Surgery: parameter, its gradient as autograd makes it and in the flat buffer, momentum, dense weight, both
# edges of the band, toggles (int32), place (int64), mask (bool). What a training keeps is a part of it. The
# update's temporaries are alive when the activations are not.
_BYTES_PER_WEIGHT = 8 * _FLOAT32_BYTES + _INT64_BYTES + 1

# Alive beside what is kept: input and output of one operation and its workspace.
_NUM_STEP_LAYERS = 3

# Alive at once in a block of an evaluation, which keeps nothing for later: its input, that rectified, outputs
# of both convolutions, and of the normalisation and ReLU between them.
_NUM_EVALUATION_LAYERS = 6

CONTEXT_BYTES = 512 * 2**20
"""What CUDA and its libraries take in every process, before any tensor; about that on present GPUs."""


class DeviceMemory(NamedTuple):
    """Estimated need of one process, all in bytes.

    Attributes:
        weights: parameters, gradients, momentum, and surgery's dense weights, masks, toggles and edges.
        activations: kept from the forward pass for the backward pass.
        transient: largest tensors alive beside them, in a step or in an evaluation.
        data: images and labels resident on the device.
        tables: order of the batches, and when masks are due.
        context: of CUDA itself.
    """

    weights: int
    activations: int
    transient: int
    data: int
    tables: int
    context: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


class _Layer(NamedTuple):
    """Channels and side of the tensors of one block, before and after its first convolution."""

    in_channels: int
    in_side: int
    out_channels: int
    out_side: int


def estimate_memory(
    recipe: Recipe,
    *,
    image_size: int,
    in_channels: int,
    num_networks: int,
    precision: str,
    num_train_examples: int,
    num_test_examples: int | None = None,
    is_captured: bool = True,
) -> DeviceMemory:
    """Need of the hungrier of the two phases, part by part.

    Args:
        recipe: network, batch sizes and numbers of steps.
        image_size: side of the images in pixels, >= 1.
        in_channels: of the images, >= 1.
        num_networks: K >= 1, networks of one stack, each counted with an order of its own.
        precision: see `device_step.Numerics`.
        num_train_examples: images of the training split that are used.
        num_test_examples: of the test split; None = as the recipe says, or as many as for training.
        is_captured: whether steps are replayed. A graph keeps activations of its own, and the steps that are
            not replayed need theirs besides.

    Raises:
        ValueError: an argument is out of range.
    """
    for name, value in (
        ("image_size", image_size),
        ("in_channels", in_channels),
        ("num_networks", num_networks),
        ("num_train_examples", num_train_examples),
    ):
        if value < 1:
            raise ValueError(f"{name} = {value!r}: must be at least 1")
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}: must be one of {', '.join(PRECISIONS)}")
    if num_test_examples is None:
        num_test_examples = recipe.num_test_examples or num_train_examples
    layers = _layers(recipe, image_size)
    num_kernels, num_weights = _count_weights(recipe, in_channels)
    batch_size = max(recipe.train.batch_size, recipe.prune.batch_size)
    element_bytes = _FLOAT32_BYTES if precision == "float32" else 2
    activations = activation_bytes(
        recipe, image_size=image_size, in_channels=in_channels, num_networks=num_networks, precision=precision
    )
    largest = max(layer.out_channels * layer.out_side**2 for layer in layers)
    step_transient = _NUM_STEP_LAYERS * largest * batch_size * num_networks * element_bytes
    images = in_channels * image_size**2
    evaluation = (_NUM_EVALUATION_LAYERS * largest + images) * EVALUATION_BATCH_SIZE * _FLOAT32_BYTES
    orders = max(each.num_steps * each.batch_size for each in (recipe.train, recipe.prune)) * _INT64_BYTES
    due = recipe.prune.num_steps * num_kernels
    return DeviceMemory(
        weights=num_networks * num_weights * _BYTES_PER_WEIGHT,
        activations=(2 if is_captured else 1) * activations,
        # An evaluation has room where a step's activations were.
        transient=max(step_transient, evaluation - activations),
        data=(num_train_examples + num_test_examples) * images
        + (num_train_examples * (num_networks + 1) + num_test_examples) * _INT64_BYTES,
        tables=num_networks * (orders + due),
        context=CONTEXT_BYTES,
    )


def activation_bytes(
    recipe: Recipe, *, image_size: int, in_channels: int, num_networks: int, precision: str
) -> int:
    """Bytes that one step keeps for its backward pass; arguments as of `estimate_memory`.

    A block keeps its input, that input normalised and rectified, and the same two of its second half. With
    bfloat16 the images are kept in both precisions, and so are the weights, which autocast casts.
    """
    elements = 2 * 4 * recipe.width * _layers(recipe, image_size)[-1].out_side ** 2
    for layer in _layers(recipe, image_size):
        elements += 2 * layer.in_channels * layer.in_side**2 + 2 * layer.out_channels * layer.out_side**2
    images = in_channels * image_size**2
    batch_size = max(recipe.train.batch_size, recipe.prune.batch_size)
    if precision == "float32":
        return num_networks * batch_size * (elements + images) * _FLOAT32_BYTES
    _, num_weights = _count_weights(recipe, in_channels)
    half = num_networks * (batch_size * (elements + images) + num_weights) * 2
    return half + num_networks * batch_size * images * _FLOAT32_BYTES


def fits(
    needed_bytes: int, *, total_bytes: int, num_processes: int = 1, usable_fraction: float = 0.9
) -> bool:
    """Whether processes of that need can share a device.

    Args:
        needed_bytes: of each process.
        total_bytes: of the device.
        num_processes: that run at once, >= 1.
        usable_fraction: of the device, (0, 1]; the rest is for what was not estimated.

    Raises:
        ValueError: an argument is out of range.
    """
    if num_processes < 1:
        raise ValueError(f"num_processes = {num_processes!r}: must be at least 1")
    if not 0 < usable_fraction <= 1:
        raise ValueError(f"usable_fraction = {usable_fraction!r}: must be in (0, 1]")
    return needed_bytes * num_processes <= total_bytes * usable_fraction


def cap_process(fraction: float, device: torch.device) -> None:
    """Let this process allocate no more than its fraction of a GPU: beyond it, it alone is out of memory.

    Nothing on the CPU. The memory of the CUDA context is not part of the cap.

    Args:
        fraction: (0, 1].
        device: of the process.

    Raises:
        ValueError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction = {fraction!r}: must be in (0, 1]")
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(fraction, device)


def _layers(recipe: Recipe, image_size: int) -> list[_Layer]:
    """One a block, in order."""
    layers = []
    channels, side = recipe.width, image_size
    for stage in range(3):
        for block in range((recipe.depth - 2) // 6):
            out_channels = recipe.width * 2**stage
            out_side = -(-side // 2) if stage and not block else side
            layers.append(_Layer(channels, side, out_channels, out_side))
            channels, side = out_channels, out_side
    return layers


def _count_weights(recipe: Recipe, in_channels: int, num_classes: int = 10) -> tuple[int, int]:
    """Kernels of one network, and their weights; those of batch normalisation are a hundredth of them."""
    sizes = [9 * in_channels * recipe.width, 4 * recipe.width * num_classes]
    width, num_blocks = recipe.width, (recipe.depth - 2) // 6
    for stage in range(3):
        channels = width * 2**stage
        before = channels if stage == 0 else channels // 2
        sizes += [before * channels, 9 * before * channels]  # the projection and the first convolution
        sizes += [9 * channels**2] * (2 * num_blocks - 1)
    return len(sizes), sum(sizes)
