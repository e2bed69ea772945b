"""Labelled images in TFRecord files, in the layout of TF-slim's converters.

`image_examples` knows one record, `record_frames` the framing and its verification; the checksums of what is
written come from the writer of the `tfrecord` package.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rc_core.image_examples import ExampleError, decode_example, encode_example
from rc_core.record_frames import TFRecordError, find_payloads, masked_crc32c, read_records
from rc_core.staging import atomic_file

__all__ = [
    "DecodedImages",
    "Progress",
    "TFRecordError",
    "Verification",
    "count_classes",
    "decode_records",
    "masked_crc32c",
    "read_images",
    "read_records",
    "verify",
    "write_images",
]

Progress = Callable[[int, int], None]
"""Called with (records done, records in all), every thousand records and at the end."""

_PROGRESS_RECORDS = 1000
_RECORD_HEADER_BYTES = 12


class DecodedImages(NamedTuple):
    """The content of a file, in file order.

    Attributes:
        images: uint8 (N, H, W, C), C = 1 or 3.
        labels: int64 (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Verification(NamedTuple):
    """What a verified file holds.

    Attributes:
        path: the file.
        num_records: number of records.
        height: pixels.
        width: pixels.
        channels: 1 or 3.
        class_counts: number of records of each class, by label.
        sha256: hex digest of the file.
    """

    path: Path
    num_records: int
    height: int
    width: int
    channels: int
    class_counts: tuple[int, ...]
    sha256: str


def read_images(
    path: str | PathLike[str],
    *,
    expected_num_records: int | None = None,
    expected_shape: tuple[int, int, int] | None = None,
    num_classes: int = 10,
    progress: Progress | None = None,
) -> DecodedImages:
    """Verifies a whole file and decodes its images.

    Args:
        path: a TFRecord file of labelled PNG images, all of one size.
        expected_num_records: number of records that the file must hold; None accepts any number above zero.
        expected_shape: (height, width, channels) that every image must have; None takes the first one's.
        num_classes: labels must lie in 0..num_classes - 1.
        progress: see `Progress`.

    Returns:
        Images and labels in file order.

    Raises:
        TFRecordError: damaged file, or a record that is not as described above; names the record.
        OSError: the file cannot be read.
    """
    return decode_records(
        path,
        Path(path).read_bytes(),
        expected_num_records=expected_num_records,
        expected_shape=expected_shape,
        num_classes=num_classes,
        progress=progress,
    )


def decode_records(
    path: str | PathLike[str],
    data: bytes,
    *,
    expected_num_records: int | None = None,
    expected_shape: tuple[int, int, int] | None = None,
    num_classes: int = 10,
    progress: Progress | None = None,
) -> DecodedImages:
    """Does the work of `read_images` on the content of a file already in memory; `path` is for messages."""
    payloads = find_payloads(path, data, expected_num_records)  # every checksum before the first decoding
    view = memoryview(data)
    num_records = len(payloads)
    shape = expected_shape
    images: NDArray[np.uint8] | None = None
    labels = np.empty(num_records, dtype=np.int64)
    for number, (start, end) in enumerate(payloads):
        try:
            image, label = decode_example(view[start:end], num_classes)
            if shape is not None and image.shape != shape:
                raise ExampleError(f"the image is {_format(image.shape)}, expected {_format(shape)}")
        except ExampleError as problem:
            offset = start - _RECORD_HEADER_BYTES
            raise TFRecordError(path, number, offset, str(problem)) from problem.__cause__
        if images is None:
            shape = image.shape
            images = np.empty((num_records, *image.shape), dtype=np.uint8)
        images[number] = image
        labels[number] = label
        if progress is not None and ((number + 1) % _PROGRESS_RECORDS == 0 or number + 1 == num_records):
            progress(number + 1, num_records)
    assert images is not None  # find_payloads refuses an empty file
    return DecodedImages(images, labels)


def write_images(
    path: str | PathLike[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    *,
    compress_level: int = 6,
    progress: Progress | None = None,
) -> None:
    """Writes labelled images as a TFRecord file; the file appears whole or not at all.

    Equal input gives equal bytes in every process (with one zlib, or at compress_level 0 with any), so that
    the file's SHA-256 can stand for the data.

    Args:
        path: destination in an existing directory; an existing file is replaced.
        images: uint8 (N, H, W, C), N >= 1, C = 1 or 3.
        labels: integers (N,), >= 0.
        compress_level: zlib level 0..9 of the PNG streams.
        progress: see `Progress`.

    Raises:
        ValueError: arrays of another dtype or shape, or a negative label.
        OSError: the file cannot be written; an earlier file is then unharmed.
    """
    images = np.asarray(images)
    labels = np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
        raise ValueError(
            f"images must be uint8 (N, H, W, 1 or 3), not empty; got {images.dtype} {images.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise ValueError(f"labels must be integers ({len(images)},), got {labels.dtype} {labels.shape}")
    if labels.min() < 0:
        raise ValueError(f"labels must be >= 0, got {labels.min()}")
    from tfrecord.writer import TFRecordWriter

    num_records = len(images)
    with atomic_file(Path(path)) as file:
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), start=1):
            payload = encode_example(image, label, compress_level=compress_level)
            length = struct.pack("<Q", len(payload))
            file.write(length + TFRecordWriter.masked_crc(length))
            file.write(payload + TFRecordWriter.masked_crc(payload))
            if progress is not None and (number % _PROGRESS_RECORDS == 0 or number == num_records):
                progress(number, num_records)


def verify(
    path: str | PathLike[str],
    *,
    expected_num_records: int | None = None,
    expected_shape: tuple[int, int, int] | None = None,
    num_classes: int = 10,
    progress: Progress | None = None,
) -> Verification:
    """Verifies checksums, features and every pixel stream of a file, and says what it holds.

    Args and Raises are those of `read_images`.

    Returns:
        The file's size, shape, class counts and SHA-256, all taken from one reading of the file.
    """
    data = Path(path).read_bytes()
    images, labels = decode_records(
        path,
        data,
        expected_num_records=expected_num_records,
        expected_shape=expected_shape,
        num_classes=num_classes,
        progress=progress,
    )
    num_records, height, width, channels = images.shape
    return Verification(
        path=Path(path),
        num_records=num_records,
        height=height,
        width=width,
        channels=channels,
        class_counts=count_classes(labels, num_classes),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def count_classes(labels: NDArray[np.int64], num_classes: int) -> tuple[int, ...]:
    """Returns how many of the labels (int64 (N,), in 0..num_classes - 1) belong to each class."""
    return tuple(np.bincount(labels, minlength=num_classes).tolist())


def _format(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
