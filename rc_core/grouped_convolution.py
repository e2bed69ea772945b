"""Convolutions of one network, or of K side by side, and how a stack computes them in bfloat16 on a CPU.

oneDNN's bfloat16 kernels want many channels and large maps. Networks small enough to be stacked have neither,
and parts of their convolutions are faster in float32 or in another form. What is measured where stands in
docs/performance.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Output pixels and channels of one network up to which the kernels' gradient is faster in float32.
_SMALL_MAP = 4 * 4
_SMALL_MAP_CHANNELS = 32

# Input channels of one network from which a small map's gradient of stride 2 is faster as one of stride 1.
_SLOW_STRIDED_CHANNELS = 16


class GroupedConv2d(nn.Conv2d):
    """K convolutions side by side, without bias; one of them is `nn.Conv2d`.

    Shapes: (B, K * in_channels, H, W) -> (B, K * out_channels, H/stride, W/stride), rounded up.

    Args:
        in_channels: of one network.
        out_channels: of one network.
        kernel_size: side of the kernel, odd.
        stride: 1 or 2.
        num_networks: K.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, num_networks: int = 1
    ) -> None:
        super().__init__(
            num_networks * in_channels,
            num_networks * out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=num_networks,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.groups == 1 or not (x.is_cpu and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        if x.dtype == torch.float32:  # images: with one or three channels the whole convolution is faster so
            with torch.autocast("cpu", enabled=False):
                return super().forward(x).to(torch.get_autocast_dtype("cpu"))
        if self._has_small_maps(x):
            small: Tensor = _SmallMapConvolution.apply(
                x, self.weight, self.stride[0], self.padding[0], self.groups
            )
            return small
        return super().forward(x)

    def _has_small_maps(self, x: Tensor) -> bool:
        num_pixels = x.shape[2] * x.shape[3] // self.stride[0] ** 2
        return num_pixels <= _SMALL_MAP and self.out_channels // self.groups <= _SMALL_MAP_CHANNELS


class _SmallMapConvolution(torch.autograd.Function):
    """A grouped bfloat16 convolution with small maps: a forward pass as ever, and other gradients.

    The kernels' gradient is computed in float32, and where the stride is 2, that of the input as one of
    stride 1, whose incoming gradient is 0 between the pixels that the strided convolution computed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, num_networks: int) -> Tensor:
        rounded = weight.to(x.dtype)
        ctx.save_for_backward(x, weight, rounded)
        ctx.stride, ctx.padding, ctx.num_networks = stride, padding, num_networks
        return F.conv2d(x, rounded, None, stride, padding, 1, num_networks)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, weight, rounded = ctx.saved_tensors
        of_weight = _gradients(ctx, gradient.float(), x.float(), weight, ctx.stride, (False, True))[1]
        stride = ctx.stride
        if stride == 2 and x.shape[1] // ctx.num_networks >= _SLOW_STRIDED_CHANNELS:
            gradient, stride = _with_zeros_between(gradient, x), 1
        of_x = _gradients(ctx, gradient, x, rounded, stride, (True, False))[0]
        return of_x, of_weight, None, None, None


def _gradients(
    ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, stride: int, wanted: tuple[bool, bool]
) -> Any:
    """Of input and kernels, those that are wanted."""
    return torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        [stride] * 2,
        [ctx.padding] * 2,
        [1, 1],
        False,
        [0, 0],
        ctx.num_networks,
        [*wanted, False],
    )


def _with_zeros_between(gradient: Tensor, x: Tensor) -> Tensor:
    """(B, C, H/2, W/2), rounded up -> (B, C, H, W) as x: what the convolution would get at stride 1."""
    spread = torch.empty(
        (*gradient.shape[:2], *x.shape[2:]), dtype=gradient.dtype, memory_format=torch.channels_last
    ).zero_()
    spread[:, :, ::2, ::2] = gradient
    return spread
