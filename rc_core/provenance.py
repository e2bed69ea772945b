"""Where a result comes from: code, packages, host."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from rc_core import __version__

_PACKAGES = (
    "numpy",
    "torch",
    "torchvision",
    "safetensors",
    "tfrecord",
    "ray",
    "pandas",
    "plotly",
    "scipy",
)


@functools.cache
def code_version() -> str:
    """Package version, with the git commit and a hash of uncommitted changes where the source is a checkout.

    E.g. `0.1.0`, `0.1.0+g1a2b3c4`, `0.1.0+g1a2b3c4.dirty-9f8e7d6c`.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return __version__
    try:
        commit = _git(root, "rev-parse", "--short=7", "HEAD").strip()
        diff = _git(root, "diff", "HEAD", "--", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return __version__
    dirty = f".dirty-{hashlib.sha256(diff.encode()).hexdigest()[:8]}" if diff else ""
    return f"{__version__}+g{commit}{dirty}"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers, those that are installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def host_name() -> str:
    """Name of this machine."""
    return socket.gethostname()


def utc_now() -> str:
    """Now, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def unix_seconds(iso: str) -> float:
    """Seconds since 1970 of a time that `utc_now` wrote.

    Raises:
        ValueError: it is no ISO 8601 time.
    """
    return datetime.fromisoformat(iso).timestamp()
