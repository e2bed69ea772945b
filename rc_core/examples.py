"""Images and labels resident on the device: no loader, no workers, a batch is an index."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rc_core.datasets import Split
from rc_core.labels import RandomizedLabels, randomize_labels


class Examples(NamedTuple):
    """Examples on a device.

    Attributes:
        images: (n, H, W, C) uint8.
        labels: (n,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """A batch as the network takes it.

        Args:
            indices: (B,) int64 on the same device.
            dtype: of the images returned.

        Returns:
            (B, C, H, W) images in [0, 1] (uint8 / 255) in channels_last memory, and (B,) int64 labels.
        """
        # An NHWC tensor seen as NCHW is channels_last already: no copy.
        images = self.images.index_select(0, indices).permute(0, 3, 1, 2)
        return images.to(dtype).div_(255), self.labels.index_select(0, indices)


def to_examples(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], device: torch.device
) -> Examples:
    """Arrays to a device; on the CPU the images share memory with the array."""
    with warnings.catch_warnings():
        # Arrays from a memory map or from Ray's object store are read-only, and torch warns that writing to
        # them is undefined. Nothing here writes to images.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Examples(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))


class DeviceSplits(NamedTuple):
    """Both splits on a device, once for all cells of a process.

    Attributes:
        train: training images with true labels.
        test: test images with true labels.
        source: the training split that `train` was made of.
    """

    train: Examples
    test: Examples
    source: Split


def splits_on_device(train: Split, test: Split, device: torch.device) -> DeviceSplits:
    """Put both splits on the device."""
    return DeviceSplits(
        to_examples(train.images, train.labels, device), to_examples(test.images, test.labels, device), train
    )


class CellExamples(NamedTuple):
    """What one cell trains on and is measured against.

    Attributes:
        train: training images with randomized labels.
        test: test images with true labels.
        given: the randomized labels of `train` and which of them were redrawn (host arrays).
        true_labels: (n,) int64, the labels before randomization (host).
    """

    train: Examples
    test: Examples
    given: RandomizedLabels
    true_labels: npt.NDArray[np.int64]


def cell_examples(splits: DeviceSplits, *, randomization: float, seed: int, num_classes: int) -> CellExamples:
    """Randomize the training labels; the images are shared by all cells."""
    source = splits.source
    given = randomize_labels(
        source.labels, randomization, seed, num_classes=num_classes, num_file_records=source.num_file_records
    )
    labels = torch.from_numpy(given.labels).to(splits.train.labels.device)
    return CellExamples(
        train=Examples(splits.train.images, labels),
        test=splits.test,
        given=given,
        true_labels=source.labels,
    )
