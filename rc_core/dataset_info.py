"""What is known about a data set before its files are opened.

`cifar10` and `digits` are known by name; a data set made from class folders brings a manifest,
`<name>.dataset.json`, beside its TFRecord files.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rc_core.staging import atomic_file

DATA_VARIABLE = "RCSWEEP_DATA"
"""Environment variable with the directory of the TFRecord files."""

_MANIFEST_SUFFIX = ".dataset.json"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """Files, counts and image shape of a data set.

    Args:
        name: letters, digits, `.`, `_`, `-`; begins with a letter or digit.
        train_file: file name of the training split's TFRecord file.
        test_file: file name of the test split's TFRecord file.
        num_train: records in the training file, >= 1.
        num_test: records in the test file, >= 1.
        num_classes: labels lie in 0..num_classes - 1, >= 2.
        height: pixels, >= 1.
        width: pixels, >= 1.
        channels: 1 (grayscale) or 3 (RGB).
        class_names: one name a class in label order, or empty where none are known.

    Raises:
        ValueError: a field outside its range.
    """

    name: str
    train_file: str
    test_file: str
    num_train: int
    num_test: int
    num_classes: int
    height: int
    width: int
    channels: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "train_file", "test_file"):
            value = getattr(self, field)
            # These become parts of paths: nothing read from a manifest may lead out of its directory.
            if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
                raise ValueError(f"{field} must be letters, digits, '.', '_' or '-', got {value!r}")
        if self.train_file == self.test_file:
            raise ValueError(f"train_file and test_file must differ, got {self.train_file!r} twice")
        minima = {"num_train": 1, "num_test": 1, "num_classes": 2, "height": 1, "width": 1}
        for field, minimum in minima.items():
            value = getattr(self, field)
            if type(value) is not int or value < minimum:  # bool is an int, but not a count
                raise ValueError(f"{field} must be an integer >= {minimum}, got {value!r}")
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels!r}")
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"class_names must be {self.num_classes} names or none, got {len(self.class_names)}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.height, self.width, self.channels

    def split_file(self, split: str) -> str:
        """File name of split "train" or "test".

        Raises:
            ValueError: another split.
        """
        if split == "train":
            return self.train_file
        if split == "test":
            return self.test_file
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")

    def num_records(self, split: str) -> int:
        """Records in the file of split "train" or "test"."""
        return self.num_train if self.split_file(split) == self.train_file else self.num_test


CIFAR10 = DatasetInfo(
    name="cifar10",
    train_file="cifar10_train.tfrecord",
    test_file="cifar10_test.tfrecord",
    num_train=50_000,
    num_test=10_000,
    num_classes=10,
    height=32,
    width=32,
    channels=3,
    class_names=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
)
"""Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, chapter 3."""

DIGITS = DatasetInfo(
    name="digits",
    train_file="digits_train.tfrecord",
    test_file="digits_test.tfrecord",
    num_train=1000,
    num_test=797,
    num_classes=10,
    height=8,
    width=8,
    channels=1,
    class_names=tuple("0123456789"),
)
"""scikit-learn's `load_digits`: the first 1000 of its 1797 images for training, the others for the test."""

KNOWN_DATASETS = {info.name: info for info in (CIFAR10, DIGITS)}


def dataset_info(name: str, data_dir: str | os.PathLike[str] | None = None) -> DatasetInfo:
    """Returns what is known about a data set.

    Args:
        name: `cifar10`, `digits`, or the name given to `prepare_folder`.
        data_dir: where to look for a manifest; None looks in $RCSWEEP_DATA, else in ./data.

    Returns:
        The data set's description.

    Raises:
        ValueError: no such data set, or a damaged manifest.
    """
    if name in KNOWN_DATASETS:
        return KNOWN_DATASETS[name]
    directory = Path(data_dir or os.environ.get(DATA_VARIABLE) or "data").expanduser()
    if _PLAIN_NAME.fullmatch(name):
        manifest = manifest_path(directory, name)
        if manifest.is_file():
            return read_manifest(manifest)
    raise ValueError(
        f"unknown data set {name!r}: known are {', '.join(KNOWN_DATASETS)} and those with a manifest "
        f"NAME{_MANIFEST_SUFFIX} in {directory}; make one with "
        f"'rcsweep data prepare folder --source DIR --out {directory}', "
        f"or name the directory that has it with --data or {DATA_VARIABLE}"
    )


def find_info(path: Path) -> DatasetInfo | None:
    """Returns the data set that a TFRecord file belongs to, by its name or a manifest beside it, or None.

    Raises:
        ValueError: a damaged manifest beside the file.
    """
    manifests = sorted(path.parent.glob(f"*{_MANIFEST_SUFFIX}"))
    for info in (*KNOWN_DATASETS.values(), *map(read_manifest, manifests)):
        if path.name in (info.train_file, info.test_file):
            return info
    return None


def manifest_path(directory: Path, name: str) -> Path:
    """Where the manifest of data set `name` lies in `directory`."""
    return directory / f"{name}{_MANIFEST_SUFFIX}"


def write_manifest(path: Path, info: DatasetInfo) -> None:
    """Writes a manifest, whole or not at all."""
    with atomic_file(path) as file:
        file.write(json.dumps(asdict(info), indent=2, ensure_ascii=False).encode() + b"\n")


def read_manifest(path: Path) -> DatasetInfo:
    """Reads a manifest.

    Raises:
        ValueError: not a manifest; names the file and the field.
        OSError: the file cannot be read.
    """
    try:
        content: Any = json.loads(path.read_bytes())
        known = {field.name for field in fields(DatasetInfo)}
        if not isinstance(content, dict) or content.keys() != known:
            raise ValueError(f"expected a JSON object with exactly the fields {', '.join(sorted(known))}")
        names = content["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("class_names must be a list of strings")
        return DatasetInfo(**{**content, "class_names": tuple(names)})
    except ValueError as error:  # also what json and UTF-8 decoding raise
        raise ValueError(
            f"{path}: {error}; make the data set again with 'rcsweep data prepare folder'"
        ) from error
