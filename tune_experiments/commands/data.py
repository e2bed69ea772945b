"""`rcsweep data`: prepare and verify data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, subcommand

from tune_experiments.commands.options import EXIT_COMPLETE, EXIT_FAILED, Folder, print_json


@dataclass(frozen=True, kw_only=True)
class PrepareDigits:
    """Write scikit-learn's digits (1,797 images of 8x8) as TFRecords. Needs no download."""

    out: Path
    """Folder for the files."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.digits import prepare_digits

        return _say_written(prepare_digits(self.out))


@dataclass(frozen=True, kw_only=True)
class PrepareCifar10:
    """Write CIFAR-10 as TFRecords: downloaded, or from a copy that you have."""

    out: Path
    """Folder for the files."""
    source: Folder = None
    """The official archive (python or binary version, packed or unpacked), or a tree train/CLASS/*.png and
    test/CLASS/*.png. Without it the python version is downloaded. Archives must have the official MD5."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.cifar10 import prepare_cifar10

        return _say_written(prepare_cifar10(self.out, self.source))


@dataclass(frozen=True, kw_only=True)
class PrepareFolder:
    """Write your own images as TFRecords, from a tree train/CLASS/*.png and test/CLASS/*.png."""

    source: Path
    """Root of the tree."""
    out: Path
    """Folder for the files."""
    name: str
    """Name of the data set."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.image_folders import prepare_folder

        return _say_written(prepare_folder(self.source, self.out, name=self.name))


def _say_written(paths: list[Path]) -> int:
    for path in paths:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return EXIT_COMPLETE


@dataclass(frozen=True, kw_only=True)
class DataPrepare:
    """Write a data set as TFRecord files in TF-slim's format."""

    command: (
        Annotated[PrepareDigits, subcommand("digits")]
        | Annotated[PrepareCifar10, subcommand("cifar10")]
        | Annotated[PrepareFolder, subcommand("folder")]
    )

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        return self.command.run()


@dataclass(frozen=True, kw_only=True)
class DataVerify:
    """Check every record of TFRecord files: CRC32C, features, image, label; and, where known, the count."""

    files: Positional[tuple[Path, ...]]
    """TFRecord files."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from rc_core.datasets import verify
        from rc_core.tfrecords import TFRecordError

        results, num_bad = [], 0
        for path in self.files:
            try:
                found = verify(path)
            except (TFRecordError, OSError) as error:
                num_bad += 1
                results.append({"path": str(path), "ok": False, "error": str(error)})
                continue
            results.append({"path": str(path), "ok": True} | found._asdict() | {"path": str(path)})
        if self.json:
            print_json(results)
        else:
            for result in results:
                print(_verification_line(result))
        return EXIT_FAILED if num_bad else EXIT_COMPLETE


def _verification_line(result: dict[str, Any]) -> str:
    if not result["ok"]:
        return f"BAD   {result['error']}"
    shape = f"{result['height']}x{result['width']}x{result['channels']}"
    counts = ", ".join(str(count) for count in result["class_counts"])
    return (
        f"ok    {result['path']}: {result['num_records']:,} records of {shape}, per class {counts}, "
        f"sha256 {result['sha256']}"
    )


@dataclass(frozen=True, kw_only=True)
class Data:
    """Prepare and verify data sets."""

    command: Annotated[DataPrepare, subcommand("prepare")] | Annotated[DataVerify, subcommand("verify")]

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        return self.command.run()
