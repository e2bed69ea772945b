"""Several tensors as views into one flat buffer, so that one operation acts on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def flat_views(
    like: Sequence[Tensor], dtype: torch.dtype | None = None, fill: float = 0
) -> tuple[Tensor, list[Tensor]]:
    """A flat buffer and its parts, each with shape and memory layout of one of the given tensors.

    Args:
        like: tensors without gaps in memory (contiguous or channels_last), on one device.
        dtype: of the buffer; None = that of the first tensor.
        fill: its initial value.

    Returns:
        (total elements,) buffer, and views into it.
    """
    sizes = [tensor.numel() for tensor in like]
    flat = torch.full((sum(sizes),), fill, dtype=dtype or like[0].dtype, device=like[0].device)
    views = [
        part.as_strided(tensor.shape, tensor.stride(), part.storage_offset())
        for part, tensor in zip(flat.split(sizes), like, strict=True)
    ]
    return flat, views


class FlatParameters:
    """A network's parameters, moved into one flat buffer, and their gradients in another.

    Attributes:
        values: (n,) the parameters' values, network by network within each parameter.
        gradients: (n,) what `gather_gradients` found.

    Args:
        parameters: by name; they keep shape, layout and values.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = dict(parameters)
        tensors = [parameter.detach() for parameter in self._parameters.values()]
        self.values, views = flat_views(tensors)
        self.gradients, self._gradient_views = flat_views(tensors)
        for view, tensor, parameter in zip(views, tensors, self._parameters.values(), strict=True):
            view.copy_(tensor)
            parameter.data = view

    def like(self, dtype: torch.dtype | None = None, fill: float = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """A further buffer of the same layout, and its parts by name."""
        flat, views = flat_views(list(self._parameters.values()), dtype, fill)
        return flat, dict(zip(self._parameters, views, strict=True))

    def gather_gradients(self) -> Tensor:
        """Move every parameter's `.grad` into `gradients`, and return it; their `.grad` is None then."""
        found = [parameter.grad for parameter in self._parameters.values() if parameter.grad is not None]
        torch._foreach_copy_(self._gradient_views, found)
        for parameter in self._parameters.values():
            parameter.grad = None
        return self.gradients
