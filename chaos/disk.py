"""A small disk that can be filled: a tmpfs of its own. Needs the right to mount."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_BALLAST = "ballast"
_CHUNK_BYTES = 1 << 20


class SmallDisk:
    """A mounted disk.

    Attributes:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Write until nothing more fits; small files of others go in first come, first served."""
        with open(self.path / _BALLAST, "ab", buffering=0) as file:
            for size_bytes in (_CHUNK_BYTES, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size_bytes):
                        pass

    @property
    def free_bytes(self) -> int:
        """What still fits."""
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def free(self) -> None:
        """Give the space back."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a disk on a new folder for the length of the context.

    Raises:
        PermissionError: this process may not mount.
    """
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        raise PermissionError(
            errno.EPERM,
            f"no disk could be mounted ({mounted.stderr.strip()}); run as root, or without disk faults",
        )
    try:
        yield SmallDisk(path)
    finally:
        # Lazily: a process of a killed driver may keep a file open for some seconds more.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def can_mount(scratch: Path) -> bool:
    """Whether `small_disk` works here."""
    try:
        with small_disk(scratch / "mount-probe", 1 << 20):
            return True
    except (PermissionError, FileNotFoundError):
        return False
