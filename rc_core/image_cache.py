"""Decoded images on disk, so that a file is verified and decoded once and then opened in milliseconds.

An entry is a directory named by the SHA-256 of the TFRecord file, with `images.npy`, `labels.npy` and
`entry.json`, which holds the CRC32C of both. It is written under a partial name and renamed, so that
processes may race for it: the first one wins, and the others use or discard their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from rc_core.staging import staging_directory
from rc_core.tfrecords import DecodedImages, Progress, decode_records

CACHE_VARIABLE = "RCSWEEP_CACHE"
"""Environment variable with the directory of the cache."""

_FORMAT = "rcsweep-images-1"
_ARRAYS = ("images", "labels")


def cache_directory() -> Path:
    """Returns $RCSWEEP_CACHE, else $XDG_CACHE_HOME/rcsweep, else ~/.cache/rcsweep; it need not exist."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).expanduser() / "rcsweep"
    return Path.home() / ".cache" / "rcsweep"


def load_images(
    path: Path,
    *,
    expected_num_records: int,
    expected_shape: tuple[int, int, int],
    num_classes: int,
    progress: Progress | None = None,
) -> tuple[DecodedImages, str]:
    """Returns the content of a TFRecord file, from the cache where it has been decoded before.

    A damaged entry is rebuilt. Where the cache cannot be written the images are decoded all the same, with
    a warning. The file itself is only read.

    Args:
        path: a TFRecord file.
        expected_num_records: number of records that the file must hold.
        expected_shape: (height, width, channels) of every image.
        num_classes: labels must lie in 0..num_classes - 1.
        progress: called with (records decoded, records in all); not called on a cache hit.

    Returns:
        Read-only arrays as in `DecodedImages`, memory-mapped where they come from the cache, and the
        SHA-256 of the file as a hex digest.

    Raises:
        TFRecordError: see `read_images`.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    cached = _open_entry(_entry_path(sha256))
    if cached is not None and _is_expected(cached, expected_num_records, expected_shape, num_classes):
        return cached, sha256

    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()  # of what is decoded: the file may have been replaced meanwhile
    decoded = decode_records(
        path,
        data,
        expected_num_records=expected_num_records,
        expected_shape=expected_shape,
        num_classes=num_classes,
        progress=progress,
    )
    del data
    entry = _entry_path(sha256)
    try:
        _write_entry(entry, decoded)
        cached = _open_entry(entry)
    except OSError as error:
        warnings.warn(
            f"the decoded images of {path} cannot be kept in {entry.parent} ({error}) and will be decoded "
            f"again next time; set {CACHE_VARIABLE} to a directory with room that you may write",
            stacklevel=2,
        )
        cached = None
    if cached is None:
        decoded.images.flags.writeable = False
        decoded.labels.flags.writeable = False
        return decoded, sha256
    return cached, sha256


def _entry_path(sha256: str) -> Path:
    return cache_directory() / "images" / sha256


def _is_expected(
    cached: DecodedImages, num_records: int, shape: tuple[int, int, int], num_classes: int
) -> bool:
    # The entry is the file's content, whoever asked for it first: another caller's wrong expectation has to
    # end in the decoder's precise error, not in arrays that fit nobody.
    if cached.images.shape != (num_records, *shape):
        return False
    return bool(cached.labels.min() >= 0 and cached.labels.max() < num_classes)


def _open_entry(entry: Path) -> DecodedImages | None:
    """Opens an entry; None where there is none or it is damaged in any way."""
    try:
        record = json.loads((entry / "entry.json").read_bytes())
        if record["format"] != _FORMAT:
            return None
        opened: dict[str, NDArray[np.generic]] = {}
        for name in _ARRAYS:
            mapped = np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            # The whole array, not only its size: after a power failure a file of the right length may hold
            # zeros, which are valid pixels.
            if crc32c(mapped.data.cast("B")) != record[f"{name}_crc32c"]:
                return None
            opened[name] = np.asarray(mapped)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    images, labels = opened["images"], opened["labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or labels.ndim != 1:
        return None
    if len(images) != len(labels) or len(labels) == 0:
        return None
    return DecodedImages(images.view(np.uint8), labels.view(np.int64))


def _write_entry(entry: Path, decoded: DecodedImages) -> None:
    with staging_directory(entry.parent) as staging:
        record: dict[str, object] = {"format": _FORMAT}
        arrays: tuple[NDArray[Any], ...] = decoded
        for name, array in zip(_ARRAYS, arrays, strict=True):
            np.save(staging / f"{name}.npy", array, allow_pickle=False)
            record[f"{name}_crc32c"] = crc32c(array.data.cast("B"))
        (staging / "entry.json").write_text(json.dumps(record))
        # No fsync of what can be decoded again: the checksums tell when a crash has torn it.
        try:
            os.rename(staging, entry)
        except OSError:
            if _open_entry(entry) is not None:
                return  # another process was first, and its entry holds the same pixels
            _discard(entry)
            os.rename(staging, entry)


def _discard(entry: Path) -> None:
    """Removes a damaged entry; by a rename first, so that nobody sees it half removed."""
    trash = entry.parent / f"{entry.name}.damaged-{uuid.uuid4().hex}"
    with suppress(FileNotFoundError):  # another process has discarded it
        os.rename(entry, trash)
    rmtree(trash, ignore_errors=True)
