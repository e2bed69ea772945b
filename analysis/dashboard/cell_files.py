"""What a page of one trial reads from the cell's own folder; any file may be missing, torn or damaged."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from rc_core.experiment import (
    FAILURE_FILE,
    LOG_FILE,
    RECORD_FILE,
    DamagedFileError,
    read_json,
)
from rc_core.storage import LocalStorage, Storage

MAX_LOG_BYTES = 64 * 1024


class LogTail(NamedTuple):
    """The end of a log.

    Attributes:
        text: at most `MAX_LOG_BYTES` of it.
        num_left_out: bytes before it.
    """

    text: str
    num_left_out: int


class CellFiles(NamedTuple):
    """Files of one cell.

    Attributes:
        record: of a finished cell; empty else.
        failure: of the last attempt that failed; empty where none did.
        log: what the attempts said.
        problems: files that cannot be read, and why.
    """

    record: dict[str, Any]
    failure: dict[str, Any]
    log: LogTail
    problems: tuple[str, ...]


def read_cell_files(folder: Storage) -> CellFiles:
    """The files of a cell's folder, which need not exist."""
    problems: list[str] = []

    def read(name: str) -> dict[str, Any]:
        try:
            return read_json(folder, name) or {}
        except (DamagedFileError, OSError) as error:
            problems.append(f"{name}: {error}")
            return {}

    record, failure = read(RECORD_FILE), read(FAILURE_FILE)
    try:
        log = read_tail(folder, LOG_FILE)
    except OSError as error:
        problems.append(f"{LOG_FILE}: {error}")
        log = LogTail("", 0)
    return CellFiles(record, failure, log, tuple(problems))


def read_tail(folder: Storage, name: str, max_bytes: int = MAX_LOG_BYTES) -> LogTail:
    """The end of a text file; empty where there is none. Of a local file no more than that is read."""
    try:
        if isinstance(folder, LocalStorage):
            with open(folder.path / name, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - max_bytes))
                content = file.read(max_bytes)
        else:
            content = folder.read(name)
            size, content = len(content), content[-max_bytes:]
    except (FileNotFoundError, NotADirectoryError):
        return LogTail("", 0)
    return LogTail(content.decode("utf-8", "replace"), max(0, size - len(content)))
