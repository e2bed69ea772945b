"""Stacks: when K networks of one shape are trained as one module, and their states as one state and back.

See `resnet.ResNet` for the layout: every tensor has K times the rows of one network's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rc_core.recipes import Recipe


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One state dictionary of K networks.

    Scalars (batch norm's count of batches) are the same in all of them, and taken from the first.

    Args:
        states: K state dictionaries with equal names and shapes.

    Returns:
        By name, tensors of K times the rows.
    """
    return {
        name: torch.cat([state[name] for state in states]) if first.ndim else first
        for name, first in states[0].items()
    }


def rows_of(tensor: Tensor, index: int, num_networks: int) -> Tensor:
    """The part of a stacked tensor that is network `index`'s, as a view; scalars are everybody's.

    Args:
        tensor: (K * rows, ...), or a scalar.
        index: in [0, K).
        num_networks: K.
    """
    return tensor.unflatten(0, (num_networks, -1))[index] if tensor.ndim else tensor


def state_of(stacked: Mapping[str, Tensor], index: int, num_networks: int) -> dict[str, Tensor]:
    """`rows_of` every tensor of a state dictionary."""
    return {name: rows_of(tensor, index, num_networks) for name, tensor in stacked.items()}


# Batch norm takes so many channels at a time on the CPU, and rounds what is left over otherwise.
_CHANNELS_AT_A_TIME = {"float32": 8, "bfloat16": 16}


def padded_size(num_cells: int, width: int, precision: str) -> int:
    """Networks of a stack in which every cell has the bits that it has in any other stack.

    At least two, since grouped convolutions of one group are ordinary ones, and those round differently; and
    so many that no channels are left over. What is added to the cells are copies of the first.

    Args:
        num_cells: that are to be trained, >= 1.
        width: channels of the first stage of one network.
        precision: see `device_step.Numerics`.
    """
    size = max(2, num_cells)
    while size * width % _CHANNELS_AT_A_TIME[precision]:
        size += 1
    return size


# Measured, see docs/performance.md: on a CPU networks side by side pay while the activations of a stack fit
# the cache beside its weights; wider or larger ones keep a core busy alone, and are slower in groups.
_CPU_STACK = 16
_CPU_LARGEST_ACTIVATION = 8 * 8 * 8


def stack_size(recipe: Recipe, image_size: int, device_type: str) -> int:
    """How many cells are trained together unless the user says otherwise; 1 means each for itself.

    A function of recipe and device alone, not of a measurement on the spot: a network in a stack rounds
    differently from one alone, and a cell's bits should not depend on how busy a machine was.

    Args:
        recipe: of the cells.
        image_size: side of the images in pixels.
        device_type: `cpu` or `cuda`.
    """
    if device_type == "cpu" and recipe.width * image_size**2 <= _CPU_LARGEST_ACTIVATION:
        return _CPU_STACK
    return 1
