"""The network of the naive baseline: the product's, written plainly once more.

It is not imported from the product, so that the baseline stays what it is when the product's network is made
faster. A test holds the two to equal outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """BN, ReLU, conv3x3, BN, ReLU, conv3x3, plus the shortcut.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, project: bool, momentum: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels, momentum=momentum)
        self.shortcut = (
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False) if project else None
        )
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        activated = torch.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        out = self.conv1(activated)
        out = self.conv2(torch.relu(self.norm2(out)))
        total: Tensor = out + shortcut
        return total


class NaiveResNet(nn.Module):
    """Pre-activation ResNet of depth 6n + 2 with the names of the product's parameters.

    Shapes: images (B, in_channels, H, W) float -> logits (B, num_classes) float.

    Args:
        depth: 6n + 2 with n >= 1.
        width: channels of the first stage.
        in_channels: channels of the images.
        num_classes: number of classes.
        batch_norm_momentum: torch's momentum, 1 - decay.
    """

    def __init__(
        self, *, depth: int, width: int, in_channels: int, num_classes: int, batch_norm_momentum: float
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        blocks = []
        channels = width
        for stage in range(3):
            for index in range((depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(channels, width * 2**stage, stride, index == 0, batch_norm_momentum))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels, momentum=batch_norm_momentum)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        features = torch.relu(self.norm(self.blocks(self.stem(images))))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits
