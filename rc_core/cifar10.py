"""CIFAR-10 as TFRecord files: from the official download, its archives, or a class-folder tree.

The official archives and their checksums: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rc_core.array_pickles import load_array_dict
from rc_core.dataset_files import write_dataset
from rc_core.dataset_info import CIFAR10, DatasetInfo
from rc_core.image_folders import read_class_folders
from rc_core.staging import staging_directory
from rc_core.tfrecords import DecodedImages, Progress

OFFICIAL = "official"
"""Value of `md5` for either of the official archives."""

_OFFICIAL_MD5 = {
    "c58f30108f718f92721af3b95e74349a": "cifar-10-python.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530": "cifar-10-binary.tar.gz",
}
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_STORED_SHAPE = (3, 32, 32)  # red, green and blue planes, row by row
_IMAGE_BYTES = 3 * 32 * 32
_MAX_BATCH_BYTES = 64 * 1024 * 1024  # official batches have 31 MB; an archive must not fill the memory
_STALLED_AFTER_SECONDS = 60.0

Batches = dict[str, DecodedImages]


class _Layout(NamedTuple):
    directory: str
    train_names: tuple[str, ...]
    test_name: str
    parse: Callable[[bytes], DecodedImages]


def prepare_cifar10(
    out: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    md5: str | None = OFFICIAL,
    info: DatasetInfo = CIFAR10,
    progress: Progress | None = None,
) -> list[Path]:
    """Writes CIFAR-10 as TFRecord files, in the order of the source.

    The record order decides which image gets which random label, so results of sources with different
    orders are not comparable cell by cell. All official archives have one order, data_batch_1 to 5; a
    class-folder tree has that of `read_class_folders`.

    Args:
        out: directory, created where missing. A failure or an interruption leaves what was there.
        source: None downloads with torchvision (163 MiB, in a temporary directory inside `out`). Otherwise
            the official Python or binary archive (.tar.gz), the directory extracted from either, or a tree
            train/<class>/*.png, test/<class>/*.png with ten classes.
        md5: hex digest that a source archive must have; "official" takes either official archive, None
            any. Extracted directories and trees have no checksum: their structure and counts are checked.
        info: counts and shape to insist on; another than `CIFAR10` is for subsets.
        progress: called with the records written and in all.

    Returns:
        Paths of the training file and the test file.

    Raises:
        ValueError: wrong checksum, unknown layout, or damaged or incomplete source.
        FileNotFoundError: no such source.
        ConnectionError: the download failed; says how to go on by hand.
        OSError: a file cannot be read, or `out` cannot be written.
    """
    out = Path(out).expanduser()
    if source is None:
        with staging_directory(out) as staging:
            _download(staging)
            train, test = _read_directory(staging)
            return write_dataset(out, info, train, test, progress=progress)
    source = Path(source).expanduser()
    if not source.exists():
        raise FileNotFoundError(f"source {source} does not exist")
    if source.is_dir():
        train, test = _read_directory(source)
    else:
        _check_md5(source, md5)
        train, test = _read_archive(source)
    return write_dataset(out, info, train, test, progress=progress)


def _download(directory: Path) -> None:
    """Downloads and extracts the Python archive; torchvision verifies its MD5 and those of the batches."""
    import http.client
    import socket
    import ssl
    import urllib.error

    import torchvision

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALLED_AFTER_SECONDS)  # torchvision sets none: a dead peer would hang it
    try:
        with warnings.catch_warnings():
            # NumPy 2.4 warns about Python 2 pickles and Python 3.12 about tar extraction; both are
            # torchvision's affairs, and come after it has verified the archive's MD5.
            warnings.simplefilter("ignore")
            torchvision.datasets.CIFAR10(root=str(directory), download=True)
    except (
        *(urllib.error.URLError, http.client.HTTPException, ssl.SSLError),
        *(ConnectionError, TimeoutError, RuntimeError, tarfile.TarError),  # RuntimeError: wrong MD5
    ) as error:
        raise ConnectionError(
            f"the download of {torchvision.datasets.CIFAR10.url} failed ({type(error).__name__}: {error}). "
            f"Try again, or get cifar-10-python.tar.gz from {_PAGE} by other means and run "
            "'rcsweep data prepare cifar10 --source cifar-10-python.tar.gz --out DIR'"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _check_md5(archive: Path, expected: str | None) -> None:
    if expected is None:
        return
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    accepted = _OFFICIAL_MD5 if expected == OFFICIAL else {expected.lower(): "as given"}
    if found not in accepted:
        listed = " or ".join(f"{digest} ({name})" for digest, name in accepted.items())
        raise ValueError(
            f"{archive} has MD5 {found}, expected {listed}: download it again from {_PAGE}; "
            f"to use this very file on purpose, give md5='{found}', or None to skip the check"
        )


def _read_directory(source: Path) -> tuple[DecodedImages, DecodedImages]:
    for layout in _LAYOUTS:
        for directory in (source, source / layout.directory):
            if (directory / layout.train_names[0]).is_file():
                batches: Batches = {}
                for name in (*layout.train_names, layout.test_name):
                    if (directory / name).is_file():
                        batches[name] = _parse(layout, (directory / name).read_bytes(), str(directory / name))
                return _join(layout, batches, str(directory))
    if (source / "train").is_dir() and (source / "test").is_dir():
        folders = read_class_folders(source)
        return folders.train, folders.test
    raise ValueError(
        f"{source} has none of the layouts of CIFAR-10: data_batch_1 ... (Python), data_batch_1.bin ... "
        f"(binary), {' or '.join(layout.directory for layout in _LAYOUTS)} with these, "
        "or train/<class>/*.png and test/<class>/*.png"
    )


def _read_archive(source: Path) -> tuple[DecodedImages, DecodedImages]:
    """Reads the batches from the archive as streams: nothing is extracted, so no member can escape."""
    members = {
        f"{layout.directory}/{name}": (layout, name)
        for layout in _LAYOUTS
        for name in (*layout.train_names, layout.test_name)
    }
    batches: dict[str, Batches] = {layout.directory: {} for layout in _LAYOUTS}
    try:
        with tarfile.open(source, "r:*") as archive:
            for member in archive:
                layout, name = members.get(member.name.removeprefix("./"), (None, ""))
                if layout is None or not member.isreg():
                    continue
                if member.size > _MAX_BATCH_BYTES:
                    raise ValueError(f"{source}: {member.name} has {member.size} bytes, too many for a batch")
                stream = archive.extractfile(member)
                assert stream is not None  # a regular file
                batches[layout.directory][name] = _parse(layout, stream.read(), f"{source}: {member.name}")
            # tarfile stops at the tar's end mark; gzip compares its checksum at the end of the stream.
            while archive.fileobj.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the content; gzip's own complaint has no errno
        raise ValueError(f"{source} cannot be read as a tar archive ({error}): download it again") from error
    for layout in _LAYOUTS:
        if batches[layout.directory]:
            return _join(layout, batches[layout.directory], str(source))
    raise ValueError(f"{source} has no batches of CIFAR-10, such as {next(iter(members))}")


def _parse(layout: _Layout, data: bytes, origin: str) -> DecodedImages:
    try:
        return layout.parse(data)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}; get the file again from {_PAGE}") from error


def _join(layout: _Layout, batches: Batches, origin: str) -> tuple[DecodedImages, DecodedImages]:
    missing = sorted({*layout.train_names, layout.test_name} - batches.keys())
    if missing:
        raise ValueError(f"{origin} lacks {', '.join(missing)}")
    return _concatenate(batches[name] for name in layout.train_names), batches[layout.test_name]


def _concatenate(parts: Iterable[DecodedImages]) -> DecodedImages:
    images, labels = zip(*parts, strict=True)
    return DecodedImages(np.concatenate(images), np.concatenate(labels))


def _parse_python_batch(data: bytes) -> DecodedImages:
    """Parses a pickled dict of `data`, uint8 (n, 3072), and `labels`, a list of n integers."""
    batch = load_array_dict(data)
    planes = batch.get("data", batch.get(b"data"))
    labels = batch.get("labels", batch.get(b"labels"))
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.shape[1:] != (_IMAGE_BYTES,):
        raise ValueError("its 'data' is not a uint8 array (n, 3072)")
    if not isinstance(labels, list) or len(labels) != len(planes) or any(type(x) is not int for x in labels):
        raise ValueError(f"its 'labels' are not a list of {len(planes)} integers")
    return _from_planes(planes, np.array(labels, dtype=np.int64))


def _parse_binary_batch(data: bytes) -> DecodedImages:
    """Parses records of one label byte and 3072 pixel bytes."""
    if not data or len(data) % (1 + _IMAGE_BYTES):
        raise ValueError(f"its {len(data)} bytes are not a number of records of {1 + _IMAGE_BYTES} bytes")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, 1 + _IMAGE_BYTES)
    return _from_planes(records[:, 1:], records[:, 0].astype(np.int64))


def _from_planes(planes: NDArray[np.uint8], labels: np.ndarray) -> DecodedImages:
    images = planes.reshape(-1, *_STORED_SHAPE).transpose(0, 2, 3, 1)
    return DecodedImages(np.ascontiguousarray(images), labels)


_LAYOUTS = (
    _Layout(
        "cifar-10-batches-py",
        tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test_batch",
        _parse_python_batch,
    ),
    _Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test_batch.bin",
        _parse_binary_batch,
    ),
)
