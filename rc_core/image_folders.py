"""Data sets made from class folders: `train/<class>/*.png` and `test/<class>/*.png`."""

from __future__ import annotations

import os
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rc_core.dataset_files import write_dataset
from rc_core.dataset_info import KNOWN_DATASETS, DatasetInfo
from rc_core.tfrecords import DecodedImages, Progress

_SUFFIXES = (".png", ".jpg", ".jpeg")
_GRAYSCALE_MODES = ("L",)
_COLOUR_MODES = ("RGB", "P")  # a palette image becomes RGB without loss; alpha would be dropped silently


class ClassFolders(NamedTuple):
    """The decoded content of a class-folder tree.

    Attributes:
        class_names: sorted names of the class directories; the index is the label.
        train: training images and labels.
        test: test images and labels, of the same size and channels.
    """

    class_names: tuple[str, ...]
    train: DecodedImages
    test: DecodedImages


def prepare_folder(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str = "folder",
    progress: Progress | None = None,
) -> list[Path]:
    """Converts a class-folder tree to TFRecord files and a manifest.

    Args:
        source: directory with `train/<class>/` and `test/<class>/`; see `read_class_folders`.
        out: directory, created where missing.
        name: the data set's name from now on; letters, digits, `.`, `_`, `-`.
        progress: called with the records written and in all.

    Returns:
        Paths of the training file, the test file and the manifest.

    Raises:
        ValueError: another layout, unusable images, or a reserved or malformed name.
        OSError: a file cannot be read, or `out` cannot be written.
    """
    if name in KNOWN_DATASETS:
        raise ValueError(f"name must not be that of a built-in data set, got {name!r}")
    folders = read_class_folders(Path(source).expanduser())
    height, width, channels = folders.train.images.shape[1:]
    info = DatasetInfo(
        name=name,
        train_file=f"{name}_train.tfrecord",
        test_file=f"{name}_test.tfrecord",
        num_train=len(folders.train.labels),
        num_test=len(folders.test.labels),
        num_classes=len(folders.class_names),
        height=height,
        width=width,
        channels=channels,
        class_names=folders.class_names,
    )
    return write_dataset(Path(out).expanduser(), info, folders.train, folders.test, progress=progress)


def read_class_folders(source: Path) -> ClassFolders:
    """Reads a class-folder tree.

    Classes are sorted by name. Records take the first file of every class (sorted by name), then the
    second of every class, and so on, because recipes use the first n records of a file and sorting by class
    would leave them with one class.

    Args:
        source: directory with `train/<class>/` and `test/<class>/`, which hold PNG or JPEG images of one
            size, 8-bit grayscale or colour. One colour image makes all of them RGB. Hidden files are skipped.

    Returns:
        Class names and decoded images.

    Raises:
        ValueError: another layout, or unusable images; names the file.
        OSError: a file cannot be read.
    """
    class_names = _list_classes(source / "train")
    if _list_classes(source / "test") != class_names:
        different = sorted(set(class_names) ^ set(_list_classes(source / "test")))
        raise ValueError(f"{source}: train and test must have the same classes; only in one: {different}")
    if len(class_names) < 2:
        raise ValueError(f"{source / 'train'}: needs at least 2 class directories, found {list(class_names)}")
    train_files = _list_files(source / "train", class_names)
    test_files = _list_files(source / "test", class_names)
    size, mode = _agree_on_format([path for path, _ in train_files + test_files])
    return ClassFolders(class_names, _read(train_files, size, mode), _read(test_files, size, mode))


def _list_classes(directory: Path) -> tuple[str, ...]:
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory: the layout is train/<class>/* and test/<class>/*")
    return tuple(sorted(path.name for path in _list_visible(directory) if path.is_dir()))


def _list_files(directory: Path, class_names: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Lists (file, label) of all classes, taking turns."""
    by_class: list[list[tuple[Path, int]]] = []
    for label, name in enumerate(class_names):
        paths = sorted(_list_visible(directory / name))
        if not paths:
            raise ValueError(f"{directory / name} has no images")
        for path in paths:
            if path.suffix.lower() not in _SUFFIXES or not path.is_file():
                raise ValueError(f"{path} is not one of {', '.join(_SUFFIXES)}: move it elsewhere")
        by_class.append([(path, label) for path in paths])
    return [item for item in chain.from_iterable(zip_longest(*by_class)) if item is not None]


def _list_visible(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if not path.name.startswith(".")]


def _agree_on_format(paths: list[Path]) -> tuple[tuple[int, int], str]:
    """Returns the common (width, height), and "L" or "RGB", from the headers of all images."""
    from PIL import Image

    size: tuple[int, int] | None = None
    mode = "L"
    for path in paths:
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                found_size, found_mode = image.size, image.mode
                if "transparency" in image.info:
                    found_mode += " with transparency"
        except Exception as error:  # Pillow answers bad files with exceptions of many kinds
            raise ValueError(f"{path} cannot be read as an image ({error})") from error
        if found_mode not in _GRAYSCALE_MODES + _COLOUR_MODES:
            raise ValueError(f"{path} has mode {found_mode}: convert it to 8-bit RGB or grayscale")
        if size is not None and found_size != size:
            raise ValueError(
                f"{path} is {found_size[1]}x{found_size[0]}, the images before it are {size[1]}x{size[0]}: "
                "all must have one size"
            )
        size = found_size
        if found_mode in _COLOUR_MODES:
            mode = "RGB"
    assert size is not None  # no class is empty
    return size, mode


def _read(files: list[tuple[Path, int]], size: tuple[int, int], mode: str) -> DecodedImages:
    from PIL import Image

    width, height = size
    images: NDArray[np.uint8] = np.empty(
        (len(files), height, width, 3 if mode == "RGB" else 1), dtype=np.uint8
    )
    for number, (path, _) in enumerate(files):
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                images[number] = np.asarray(image.convert(mode)).reshape(images.shape[1:])
        except Exception as error:  # as above
            raise ValueError(f"{path} cannot be decoded ({error})") from error
    return DecodedImages(images, np.array([label for _, label in files], dtype=np.int64))
