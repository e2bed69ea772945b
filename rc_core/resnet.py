"""Pre-activation ResNet for small images (He et al. 2016, arXiv 1603.05027; the CIFAR networks of section 3).

The layout is that of TensorFlow's official CIFAR model, which the experiment used: a 3x3 convolution
without batch normalisation, three stages of n blocks with 1, 2 and 4 times `width` channels, stride 2 at the
second and third, a 1x1 projection in the first block of every stage taken after the first BN + ReLU, a final
BN + ReLU, global average pooling and a dense layer. Depth = 6n + 2.

K networks of one shape can be one module: their channels lie side by side, convolutions have K groups, and
batch normalisation over K * C channels is exactly K batch normalisations over C. For small networks one
module of K takes far less time than K modules (docs/performance.md).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rc_core.grouped_convolution import GroupedConv2d

# Standard deviation of a standard normal truncated to [-2, 2]; dividing by it restores the wanted variance.
_TRUNCATED_STD = 0.87962566103423978


class PreActivationBlock(nn.Module):
    """BN, ReLU, conv3x3, BN, ReLU, conv3x3, plus the shortcut, for K networks side by side.

    Shapes: (B, K * in_channels, H, W) -> (B, K * out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        project: bool,
        batch_norm_momentum: float,
        num_networks: int = 1,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_networks * in_channels, eps=1e-5, momentum=batch_norm_momentum)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = GroupedConv2d(in_channels, out_channels, 1, num_networks=num_networks)
        self.conv1 = GroupedConv2d(in_channels, out_channels, 3, stride=stride, num_networks=num_networks)
        self.norm2 = nn.BatchNorm2d(num_networks * out_channels, eps=1e-5, momentum=batch_norm_momentum)
        self.conv2 = GroupedConv2d(out_channels, out_channels, 3, num_networks=num_networks)
        self.project, self.stride = project, stride

    def _pixels(self, x: Tensor) -> Tensor:
        """Those that a 1x1 convolution of this stride sees; on CPUs its own backward pass is far slower."""
        return x if self.stride == 1 else F.avg_pool2d(x, kernel_size=1, stride=self.stride)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # In place where autograd needs the overwritten values no more.
        activated = F.relu(self.norm1(x), inplace=True)
        shortcut = self.shortcut(self._pixels(activated)) if self.project else x
        out = self.conv1(activated)
        residual: Tensor = self.conv2(F.relu(self.norm2(out), inplace=True))
        return residual.add_(shortcut)


class _AddBias(torch.autograd.Function):
    """x + bias, (K, B, n) and (K, 1, n), whose gradient is summed in an order that does not depend on K.

    Autograd's own sum over the batch takes vectors of neighbouring columns, and what is left over one by one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor) -> Tensor:
        return x + bias

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.transpose(1, 2).contiguous().sum(dim=2).unsqueeze(1)


class GroupedLinear(nn.Module):
    """K dense layers side by side; one of them is `nn.Linear`.

    Shapes: (B, K * in_features) -> (B, K * out_features).
    """

    def __init__(self, in_features: int, out_features: int, *, num_networks: int = 1) -> None:
        super().__init__()
        self.num_networks = num_networks
        self.weight = nn.Parameter(torch.empty(num_networks * out_features, in_features))
        self.bias = nn.Parameter(torch.empty(num_networks * out_features))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.num_networks == 1:
            return F.linear(x, self.weight, self.bias)
        weight = self.weight.unflatten(0, (self.num_networks, -1)).transpose(1, 2)
        bias = self.bias.unflatten(0, (self.num_networks, 1, -1))
        features = x.unflatten(1, (self.num_networks, -1)).transpose(0, 1)
        logits: Tensor = _AddBias.apply(torch.bmm(features, weight), bias)
        return logits.transpose(0, 1).flatten(1)


class ResNet(nn.Module):
    """Pre-activation ResNet of depth 6n + 2, or K of them side by side.

    Every parameter and statistic has K times the rows of one network's, network after network.

    Shapes: images (B, K * in_channels, H, W) float -> logits (B, K * num_classes) float.

    Args:
        depth: 6n + 2 with n >= 1.
        width: channels of the first stage of one network.
        in_channels: channels of the images.
        num_classes: number of classes.
        batch_norm_momentum: torch's momentum, 1 - decay.
        num_networks: K.

    Raises:
        ValueError: depth is not 6n + 2.
    """

    def __init__(
        self,
        *,
        depth: int = 56,
        width: int = 16,
        in_channels: int = 3,
        num_classes: int = 10,
        batch_norm_momentum: float = 0.003,
        num_networks: int = 1,
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6 != 0:
            raise ValueError(f"depth = {depth}: must be 6n + 2 with n >= 1")
        blocks_per_stage = (depth - 2) // 6
        self.num_networks = num_networks
        self.stem = GroupedConv2d(in_channels, width, 3, num_networks=num_networks)
        blocks = []
        channels = width
        for stage in range(3):
            out_channels = width * 2**stage
            for index in range(blocks_per_stage):
                blocks.append(
                    PreActivationBlock(
                        channels,
                        out_channels,
                        stride=2 if stage > 0 and index == 0 else 1,
                        project=index == 0,
                        batch_norm_momentum=batch_norm_momentum,
                        num_networks=num_networks,
                    )
                )
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(num_networks * channels, eps=1e-5, momentum=batch_norm_momentum)
        self.classifier = GroupedLinear(channels, num_classes, num_networks=num_networks)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        features = F.relu(self.norm(self.blocks(self.stem(images))), inplace=True)
        # The mean over pixels, written so that its gradient lies in memory as `features` do: torch's own is
        # NCHW, and mixing the two layouts makes the ReLU's gradient several times slower.
        pooled = features.sum(dim=(2, 3)) / features[0, 0].numel()
        return self.classifier(pooled)  # type: ignore[no-any-return]

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Initialise one network as the reference does; BN scales are 1 and every bias 0.

        Convolutions: normal truncated at two standard deviations, variance 1/fan_in. Dense layer: uniform in
        +-sqrt(6 / (fan_in + fan_out)) (Glorot). Drawn on the CPU in plain memory order, so every device and
        memory format starts alike.

        Args:
            seed: of the `torch.Generator`, in [0, 2**63).
        """
        assert self.num_networks == 1, "networks of a stack are initialised apart, see stacking.py"
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                std = math.sqrt(1 / fan_in) / _TRUNCATED_STD
                drawn = torch.empty(module.weight.shape, dtype=module.weight.dtype)
                nn.init.trunc_normal_(drawn, std=std, a=-2 * std, b=2 * std, generator=generator)
                module.weight.copy_(drawn)
            elif isinstance(module, GroupedLinear):
                drawn = torch.empty(module.weight.shape, dtype=module.weight.dtype)
                nn.init.xavier_uniform_(drawn, generator=generator)
                module.weight.copy_(drawn)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()


def kernels(model: nn.Module) -> dict[str, nn.Parameter]:
    """The prunable weights by name: convolution and dense kernels, neither biases nor batch normalisation."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.ndim >= 2}
