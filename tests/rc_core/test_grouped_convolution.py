"""Convolutions side by side: what bfloat16 on a CPU changes about them, and what not."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rc_core.grouped_convolution import GroupedConv2d

NUM_NETWORKS, BATCH_SIZE = 3, 5

# in_channels, out_channels, kernel size, stride, image size: those of `digits` that have small maps, with
# other strides, odd sizes, and the last one at the limits.
SMALL = [
    (8, 16, 1, 1, 4),
    (8, 16, 3, 2, 8),
    (16, 32, 3, 2, 4),
    (16, 32, 3, 2, 3),
    (32, 32, 3, 1, 2),
    (24, 32, 3, 2, 8),
]

# Larger maps, and more channels.
LARGE = [(8, 8, 3, 1, 8), (16, 32, 3, 2, 16), (16, 40, 3, 2, 4), (32, 64, 3, 1, 2)]


def layer(shape: tuple[int, ...], num_networks: int = NUM_NETWORKS) -> GroupedConv2d:
    in_channels, out_channels, kernel_size, stride, _ = shape
    torch.manual_seed(0)
    made = GroupedConv2d(in_channels, out_channels, kernel_size, stride=stride, num_networks=num_networks)
    return made.to(memory_format=torch.channels_last)


def features(shape: tuple[int, ...], dtype: torch.dtype, num_networks: int = NUM_NETWORKS) -> Tensor:
    drawn = torch.randn(
        BATCH_SIZE, num_networks * shape[0], shape[4], shape[4], generator=torch.Generator().manual_seed(1)
    )
    return drawn.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def plain(convolution: GroupedConv2d, x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, None, convolution.stride, convolution.padding, 1, convolution.groups)


def output_gradient(out: Tensor) -> Tensor:
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return drawn.to(out.dtype).contiguous(memory_format=torch.channels_last)


def under_autocast(convolution: GroupedConv2d, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, and gradients of input and kernels."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = convolution(x)
    of_x, of_weight = torch.autograd.grad(out, (x, convolution.weight), output_gradient(out))
    return out.detach(), of_x, of_weight


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_small_maps_have_a_rounded_output_and_the_kernels_gradient_in_float32(shape: tuple[int, ...]) -> None:
    convolution, x = layer(shape), features(shape, torch.bfloat16)
    out, of_x, of_weight = under_autocast(convolution, x)
    # The oracle has the same inputs, rounded to bfloat16, and computes in float64.
    exact_x = x.detach().double().requires_grad_()
    exact_weight = convolution.weight.detach().bfloat16().double().requires_grad_()
    exact = plain(convolution, exact_x, exact_weight)
    exact_of_x, exact_of_weight = torch.autograd.grad(
        exact, (exact_x, exact_weight), output_gradient(out).double()
    )
    assert (out.dtype, of_x.dtype, of_weight.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    torch.testing.assert_close(out.double(), exact.detach(), rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(of_x.double(), exact_of_x, rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(of_weight.double(), exact_of_weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SMALL + LARGE, ids=str)
def test_the_output_is_that_of_any_bfloat16_convolution(shape: tuple[int, ...]) -> None:
    convolution, x = layer(shape), features(shape, torch.bfloat16)
    out, _, _ = under_autocast(convolution, x)
    assert torch.equal(out, plain(convolution, x, convolution.weight.bfloat16()))


@pytest.mark.parametrize(
    ("shape", "num_networks"), [*((shape, NUM_NETWORKS) for shape in LARGE), (SMALL[2], 1)], ids=str
)
def test_all_others_have_the_gradients_of_any_bfloat16_convolution(
    shape: tuple[int, ...], num_networks: int
) -> None:
    convolution = layer(shape, num_networks)
    x = features(shape, torch.bfloat16, num_networks)
    out, of_x, of_weight = under_autocast(convolution, x)
    rounded = convolution.weight.detach().bfloat16().requires_grad_()
    usual = torch.autograd.grad(plain(convolution, x, rounded), (x, rounded), output_gradient(out))
    assert torch.equal(of_x, usual[0])
    assert torch.equal(of_weight, usual[1].float())


@pytest.mark.parametrize("shape", SMALL + LARGE, ids=str)
def test_without_autocast_it_is_a_grouped_convolution_bit_for_bit(shape: tuple[int, ...]) -> None:
    convolution, x = layer(shape), features(shape, torch.float32)
    out = convolution(x)
    expected = plain(convolution, x, convolution.weight)
    assert torch.equal(out, expected)
    inputs = (x, convolution.weight)
    for ours, theirs in zip(
        torch.autograd.grad(out, inputs, output_gradient(out)),
        torch.autograd.grad(expected, inputs, output_gradient(out)),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_images_are_computed_with_in_float32(in_channels: int) -> None:
    shape = (in_channels, 8, 3, 1, 8)
    convolution, x = layer(shape), features(shape, torch.float32)
    out, _, of_weight = under_autocast(convolution, x)
    expected = plain(convolution, x, convolution.weight)
    assert torch.equal(out, expected.bfloat16())
    usual = torch.autograd.grad(expected, convolution.weight, output_gradient(out).float())[0]
    assert torch.equal(of_weight, usual)


def test_the_images_of_one_network_are_not() -> None:
    convolution, x = layer((1, 8, 3, 1, 8), num_networks=1), features((1, 8, 3, 1, 8), torch.float32, 1)
    out, _, _ = under_autocast(convolution, x)
    assert torch.equal(out, plain(convolution, x.bfloat16(), convolution.weight.bfloat16()))
    assert not torch.equal(out, plain(convolution, x, convolution.weight).bfloat16())
