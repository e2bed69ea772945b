"""scikit-learn's handwritten digits as TFRecord files: the data set that needs no download."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from rc_core.dataset_files import write_dataset
from rc_core.dataset_info import DIGITS
from rc_core.tfrecords import DecodedImages, Progress

_MAX_INTENSITY = 16  # load_digits counts the set pixels in 4x4 blocks of a 32x32 bitmap


def prepare_digits(out: str | os.PathLike[str], *, progress: Progress | None = None) -> list[Path]:
    """Writes the 1797 images of `sklearn.datasets.load_digits`, 8x8x1, in their order.

    The first 1000 become the training file, the other 797 the test file. Intensities 0..16 become
    round(255 x / 16). Source: UCI "Optical Recognition of Handwritten Digits", test part.

    Args:
        out: directory, created where missing.
        progress: called with the records done and in all.

    Returns:
        Paths of the training file and the test file.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        OSError: `out` cannot be written.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn, which is not installed: pip install 'rcsweep[digits]'",
            name=error.name,
        ) from error
    source = load_digits()
    images = np.rint(source.images * 255 / _MAX_INTENSITY).astype(np.uint8)[..., np.newaxis]
    labels = source.target.astype(np.int64)
    cut = DIGITS.num_train
    return write_dataset(
        Path(out).expanduser(),
        DIGITS,
        DecodedImages(images[:cut], labels[:cut]),
        DecodedImages(images[cut:], labels[cut:]),
        # Stored, not compressed: 64 pixels do not shrink, and the files are the same with every zlib. They
        # are made on the spot on each machine, and a sweep compares their SHA-256 when it resumes.
        compress_level=0,
        progress=progress,
    )
