"""File stamps: what a file system says of a file without opening it, to tell whether it is still the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from rc_core.readers import read_all

# Clocks of servers tick in up to two seconds, and are set to within some.
SETTLED_SECONDS = 5.0

_INT64_BITS = (1 << 63) - 1


class FileStamp(NamedTuple):
    """What changes when a file does.

    Replacing a file gives it another inode; changing it in place, or setting its times back, another time of
    change. A move of the folder above it changes nothing, a copy of the folder everything.

    Attributes:
        size_bytes: its size.
        modified_ns: Unix time of the last change of its content, nanoseconds.
        changed_ns: of the last change to the content or to what is known of the file; 0 in object storage.
        inode: its number in the file system, as far as 63 bits hold it; 0 in object storage.
    """

    size_bytes: int
    modified_ns: int
    changed_ns: int = 0
    inode: int = 0

    def is_settled(self, read_seconds: float) -> bool:
        """Whether a change after `read_seconds` (Unix time, not before the stamp) must give another stamp.

        A file that was written just before may be changed once more within the same tick of its clock.
        """
        return max(self.modified_ns, self.changed_ns) / 1e9 < read_seconds - SETTLED_SECONDS


def stamp_files(folder: str, names: Sequence[str]) -> list[FileStamp | None]:
    """Stamps of files of a local or shared file system, in the order of `names`; None for a missing one."""
    return read_all(lambda name: _stamp(f"{folder}/{name}"), names)


def _stamp(path: str) -> FileStamp | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileStamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _INT64_BITS)
