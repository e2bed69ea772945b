"""Data sets by name: prepared once as TFRecord files, loaded as arrays.

Labels are randomized by record order, for the whole file, so that every reader here keeps the file's order.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rc_core import tfrecords
from rc_core.cifar10 import prepare_cifar10
from rc_core.dataset_info import (
    CIFAR10,
    DATA_VARIABLE,
    DIGITS,
    KNOWN_DATASETS,
    DatasetInfo,
    dataset_info,
    find_info,
)
from rc_core.digits import prepare_digits
from rc_core.image_cache import CACHE_VARIABLE, cache_directory, load_images
from rc_core.image_folders import prepare_folder
from rc_core.recipes import Recipe
from rc_core.tfrecords import Progress, TFRecordError, Verification

__all__ = [
    "CIFAR10",
    "DIGITS",
    "DatasetInfo",
    "Split",
    "average_blocks",
    "dataset_info",
    "load_split",
    "locate_split",
    "prepare_cifar10",
    "prepare_digits",
    "prepare_folder",
    "verify",
]


class Split(NamedTuple):
    """Images and true labels of one split, in file order.

    Attributes:
        images: uint8 (n, H, W, C), 0..255, read-only.
        labels: int64 (n,), read-only.
        num_file_records: records in the whole file, >= n; label randomization draws for all of them.
        sha256: hex digest of the TFRecord file.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    num_file_records: int
    sha256: str


def load_split(
    name: str,
    split: Literal["train", "test"],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    num_examples: int | None = None,
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Split:
    """Loads a split, verified in full and decoded at most once (see `image_cache`).

    Args:
        name: `cifar10`, `digits`, or the name of a data set made by `prepare_folder`.
        split: "train" or "test".
        data_dir: directory of the TFRecord files; None follows `locate_split`.
        num_examples: only the first so many records, 1..all; None = all.
        image_size: side in pixels after averaging square blocks; must divide the stored side, which must
            be the same for height and width; None = as stored.
        progress: called with (records decoded, records in all) while a file is decoded.

    Returns:
        The split. Where it comes from the cache without `image_size`, its arrays are memory-mapped.

    Raises:
        ValueError: unknown data set or split, `num_examples` or `image_size` out of range.
        FileNotFoundError: the file is not there; says what to run.
        TFRecordError: the file is damaged or not what the data set says.
    """
    info = dataset_info(name, data_dir)
    path = locate_split(info, split, data_dir)
    num_records = info.num_records(split)
    if num_examples is not None and not 1 <= num_examples <= num_records:
        raise ValueError(f"num_examples must be in 1..{num_records} for {name} {split}, got {num_examples}")
    if image_size is not None:
        _check_image_size(info, image_size)
    content, sha256 = _load(info, path, num_records, progress)
    images, labels = content.images[:num_examples], content.labels[:num_examples]
    if image_size is not None and image_size != info.height:
        images = average_blocks(images, info.height // image_size)
        images.flags.writeable = False
    return Split(images, labels, num_records, sha256)


def load_recipe_splits(recipe: Recipe, *, data_dir: Path | None = None) -> tuple[Split, Split]:
    """Training and test split of a recipe: its data set, its first examples, its image size."""
    train = load_split(
        recipe.dataset,
        "train",
        data_dir=data_dir,
        num_examples=recipe.num_train_examples,
        image_size=recipe.image_size,
    )
    test = load_split(
        recipe.dataset,
        "test",
        data_dir=data_dir,
        num_examples=recipe.num_test_examples,
        image_size=recipe.image_size,
    )
    return train, test


def locate_split(info: DatasetInfo, split: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Finds the TFRecord file of a split.

    `data_dir` decides where it is given, else $RCSWEEP_DATA, else ./data. The digits are made on the spot
    in the cache where neither of the latter has them.

    Args:
        info: the data set.
        split: "train" or "test".
        data_dir: directory of the TFRecord files, or None.

    Returns:
        Path of an existing file.

    Raises:
        ValueError: another split.
        FileNotFoundError: no such file; says what to run.
    """
    file_name = info.split_file(split)
    from_environment = os.environ.get(DATA_VARIABLE)
    if data_dir is not None:
        directory, chosen_by = Path(data_dir).expanduser(), "the given data directory"
    elif from_environment:
        directory, chosen_by = Path(from_environment).expanduser(), f"the directory in {DATA_VARIABLE}"
    else:
        directory, chosen_by = Path("data"), f"the default where {DATA_VARIABLE} is not set"
    path = directory / file_name
    if path.is_file():
        return path
    if info.name == DIGITS.name and data_dir is None:
        return _make_digits(file_name)
    source = "" if info.name in KNOWN_DATASETS else " --source DIR"
    command = info.name if info.name in KNOWN_DATASETS else "folder"
    raise FileNotFoundError(
        f"{file_name} is not in {directory} ({chosen_by}): make it with "
        f"'rcsweep data prepare {command}{source} --out {directory}', "
        f"or name the directory that has it with --data or {DATA_VARIABLE}"
    )


def verify(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Verification:
    """Verifies a TFRecord file, also against what its data set should hold.

    The data set is known by the file's name or by a manifest beside it; of any other file the record count
    is unknown, and so is whether it was cut off between two records.

    Args:
        path: the file.
        progress: called with (records verified, records in all).

    Returns:
        What the file holds.

    Raises:
        TFRecordError: the file is damaged or not what the data set says.
        ValueError: a damaged manifest beside the file.
        OSError: the file cannot be read.
    """
    path = Path(path).expanduser()
    info = find_info(path)
    if info is None:
        return tfrecords.verify(path, progress=progress)
    split = "train" if path.name == info.train_file else "test"
    return tfrecords.verify(
        path,
        expected_num_records=info.num_records(split),
        expected_shape=info.shape,
        num_classes=info.num_classes,
        progress=progress,
    )


def average_blocks(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shrinks images by the mean of factor x factor blocks, rounded to the nearest integer, halves up.

    Computed in integers, so that every machine gets the same pixels.

    Args:
        images: uint8 (N, H, W, C); H and W multiples of `factor`.
        factor: >= 1.

    Returns:
        uint8 (N, H / factor, W / factor, C).

    Raises:
        ValueError: `factor` does not divide the sides.
    """
    height, width = images.shape[1:3]
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"factor must divide height and width ({height}, {width}), got {factor}")
    # Rows first: these additions run over whole contiguous lines, and leave 1/factor of the work for columns.
    lines = np.zeros((len(images), height // factor, *images.shape[2:]), dtype=np.uint32)
    for row in range(factor):
        lines += images[:, row::factor]
    total = lines[:, :, ::factor].copy()
    for column in range(1, factor):
        total += lines[:, :, column::factor]
    block_pixels = factor * factor
    return ((total + block_pixels // 2) // block_pixels).astype(np.uint8)


def _check_image_size(info: DatasetInfo, image_size: int) -> None:
    if info.height != info.width:
        raise ValueError(
            f"image_size needs square images, those of {info.name} are {info.height}x{info.width}"
        )
    if not 1 <= image_size <= info.height or info.height % image_size:
        divisors = [size for size in range(1, info.height + 1) if info.height % size == 0]
        raise ValueError(f"image_size must be one of {divisors} for {info.name}, got {image_size}")


def _load(
    info: DatasetInfo, path: Path, num_records: int, progress: Progress | None
) -> tuple[tfrecords.DecodedImages, str]:
    def load() -> tuple[tfrecords.DecodedImages, str]:
        return load_images(
            path,
            expected_num_records=num_records,
            expected_shape=info.shape,
            num_classes=info.num_classes,
            progress=progress,
        )

    try:
        return load()
    except TFRecordError:
        if path.parent != _digits_directory():
            raise
        prepare_digits(path.parent)  # our own copy, which nobody would think of restoring
        return load()


def _digits_directory() -> Path:
    return cache_directory() / "digits"


def _make_digits(file_name: str) -> Path:
    path = _digits_directory() / file_name
    if not path.is_file():
        try:
            prepare_digits(path.parent)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"the digits cannot be written to {path.parent} ({error.strerror}); "
                f"set {CACHE_VARIABLE} to a directory that you may write",
            ) from error
    return path
