"""Both files of a data set, written together."""

from __future__ import annotations

import os
from pathlib import Path

from rc_core.dataset_info import KNOWN_DATASETS, DatasetInfo, manifest_path, write_manifest
from rc_core.staging import staging_directory, sync_directory
from rc_core.tfrecords import DecodedImages, Progress, write_images


def write_dataset(
    out: Path,
    info: DatasetInfo,
    train: DecodedImages,
    test: DecodedImages,
    *,
    compress_level: int = 6,
    progress: Progress | None = None,
) -> list[Path]:
    """Writes the TFRecord files, and a manifest unless the data set is known by name.

    Nothing gets its final name in `out` before all of it is written: an interruption leaves what was there.

    Args:
        out: directory, created where missing.
        info: what the arrays must hold.
        train: training images and labels in record order.
        test: test images and labels in record order.
        compress_level: zlib level 0..9 of the PNG streams.
        progress: called with the records done and in all, over both files.

    Returns:
        The written paths: training file, test file and, where there is one, the manifest.

    Raises:
        ValueError: the arrays are not what `info` says.
        OSError: `out` cannot be written.
    """
    for split, content in (("train", train), ("test", test)):
        _check_split(info, split, content)
    num_done = 0

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(num_done + done, info.num_train + info.num_test)

    with staging_directory(out) as staging:
        written = [info.train_file, info.test_file]
        for name, content in zip(written, (train, test), strict=True):
            write_images(staging / name, *content, compress_level=compress_level, progress=report)
            num_done += len(content.labels)
        if info.name not in KNOWN_DATASETS:
            manifest = manifest_path(staging, info.name)
            write_manifest(manifest, info)
            written.append(manifest.name)
        for name in written:
            os.replace(staging / name, out / name)
    sync_directory(out)
    return [out / name for name in written]


def _check_split(info: DatasetInfo, split: str, content: DecodedImages) -> None:
    images, labels = content
    if len(images) != info.num_records(split) or len(labels) != len(images):
        raise ValueError(
            f"{info.name}: the source has {len(images)} {split} images and {len(labels)} labels, "
            f"expected {info.num_records(split)}: the source is incomplete or another data set"
        )
    if images.shape[1:] != info.shape:
        raise ValueError(
            f"{info.name}: the {split} images of the source are {images.shape[1:]}, expected {info.shape}"
        )
    if labels.min() < 0 or labels.max() >= info.num_classes:
        raise ValueError(
            f"{info.name}: a {split} label of the source is outside 0..{info.num_classes - 1} "
            f"(lowest {labels.min()}, highest {labels.max()})"
        )
