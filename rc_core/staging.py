"""Files and directories that appear whole or not at all.

Everything is first written under a hidden partial name beside its destination, so that the last step is a
rename within one file system. An exception, Ctrl-C or SIGTERM removes the partial; only SIGKILL or a power
failure can leave one behind, and the next staging in that directory removes it once it is a day old.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

_PREFIX = ".rcsweep-partial-"
_ABANDONED_AFTER_SECONDS = 24 * 3600.0


@contextmanager
def staging_directory(parent: Path) -> Iterator[Path]:
    """Gives an empty hidden directory inside `parent`, and removes it on every exit path.

    Whoever wants to keep a file renames it out (`os.replace`) before the block ends; the directory itself
    may be renamed too. A `parent` that did not exist is created, and removed again if it stays empty.

    Args:
        parent: directory on the file system of the final destination.

    Yields:
        The path of the empty directory; its mode follows the umask, so that a shared cache stays shared.

    Raises:
        OSError: `parent` cannot be created or written.
    """
    is_new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    staging = parent / f"{_PREFIX}{uuid.uuid4().hex}"
    with _sigterm_raises():
        try:
            staging.mkdir()
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if is_new:
                with suppress(OSError):  # not empty: the work succeeded, or another process wrote there
                    parent.rmdir()


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the place of `path` when the block ends without an exception.

    The data reach the disk (fsync) before the rename: a crash leaves the old file or the new one.

    Args:
        path: destination; its directory must exist.

    Yields:
        A file object opened for writing.

    Raises:
        OSError: the file cannot be written; `path` is then as it was.
    """
    partial = path.parent / f"{_PREFIX}{uuid.uuid4().hex}"
    with _sigterm_raises():
        try:
            with open(partial, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the renames done in a directory durable, where the operating system offers that."""
    with suppress(OSError):  # some network file systems and Windows refuse to open or sync a directory
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    oldest_kept = time.time() - _ABANDONED_AFTER_SECONDS
    for partial in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process may be removing it too
            if partial.lstat().st_mtime < oldest_kept:
                if partial.is_dir() and not partial.is_symlink():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turns SIGTERM into SystemExit(143), because its default action would skip every `finally`.

    A handler that the application has set is left alone, and so is a thread that may not set one.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_on_sigterm(signal_number: int, frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)
