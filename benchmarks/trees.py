"""Copies of the code, as it is now and as it was at a commit, that do not change while they are measured."""

from __future__ import annotations

import compileall
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

from rc_core.provenance import code_version

CHECKOUT = Path(__file__).resolve().parent.parent

PACKAGES = ("rc_core", "tune_experiments", "analysis")

# The version before networks were trained in stacks.
BEFORE_COMMIT = "e328443"


class MissingCommitError(RuntimeError):
    """The commit cannot be extracted here."""


class Tree(NamedTuple):
    """A folder that holds the product's packages and, beside them, today's benchmarks.

    Attributes:
        root: the folder.
        version: of the code in it.
    """

    root: Path
    version: str

    def environment(self) -> dict[str, str]:
        """This process's variables, but so that Python finds the tree's packages before any others.

        Ray's workers inherit them. Start the process in `root`: `python -m` looks in its folder first.
        """
        return {**os.environ, "PYTHONPATH": str(self.root)}


def copy_working_tree(folder: Path) -> Tree:
    """The code as it lies in the checkout, uncommitted changes included."""
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return _with_benchmarks(folder, code_version())


def extract_commit(commit: str, folder: Path) -> Tree:
    """The code as it was at a commit.

    Raises:
        MissingCommitError: this is no git checkout, or its history does not reach back to the commit.
    """
    command = ["git", "-C", str(CHECKOUT), "archive", "--format=tar", commit, *PACKAGES]
    try:
        archive = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise MissingCommitError(
            f"commit {commit} cannot be extracted ({said}); run this in a git clone with its whole history "
            "(git fetch --unshallow)"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return _with_benchmarks(folder, commit)


def _with_benchmarks(folder: Path, version: str) -> Tree:
    """Put today's benchmarks beside the packages, and compile all, so that no first run has to."""
    shutil.copytree(
        CHECKOUT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__")
    )
    compileall.compile_dir(folder, quiet=2)
    return Tree(folder.resolve(), version)
