"""The index: what was read from finished cells, kept so that the next reader need not open their files.

An index is a table with one row a cell: what was read from one file of the cell, and that file's stamp
(rc_core/stamps.py). A row counts for as long as the file has this very stamp. So an index may be deleted at
any time, and one that is damaged, of another version or of another recipe is as good as none.

    NAME/.index/<table>.arrow             beside a local experiment that can be written
    <cache>/index/<hash>/<table>.arrow    for all others, see `rc_core.image_cache.cache_directory`

A file is a header of 64 bytes with the CRC32C of what follows, an Arrow stream. Readers take it as a whole
and writers replace it as a whole: any number of both may work at a time, and the last writer wins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from crc32c import crc32c

from rc_core.staging import atomic_file
from rc_core.stamps import FileStamp
from rc_core.storage import LocalStorage, Storage

FOLDER = ".index"

_FORMAT = "rcsweep-index-1"
_HEADER_BYTES = 64
_STAMP_COLUMNS = tuple(f"stamp_{field}" for field in FileStamp._fields)

# So many cells are read again rather than a whole index written anew; or this share of all.
_FEW_CELLS, _FEW_SHARE = 64, 0.01


class IndexFile:
    """One table of an experiment's index.

    Args:
        storage: the experiment's folder.
        name: of the table, `cells` or `curves`.
        kind: everything else that the content depends on, as plain JSON; with another one the index is void.
    """

    def __init__(self, storage: Storage, name: str, kind: Any) -> None:
        self._storage, self._name = storage, name
        self._kind = hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:16]

    def read(self) -> pa.Table | None:
        """The table; None where there is none that this code can use."""
        found = []
        for path in self._paths():
            with suppress(OSError):
                found.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(found, reverse=True):
            with suppress(OSError, pa.ArrowException):
                if (table := self._decode(path.read_bytes())) is not None:
                    return table
        return None

    def write(self, table: pa.Table) -> None:
        """Replace the table. Where no place can be written, there will be none: it is only a cache."""
        content = self._encode(table)
        for path in self._paths():
            with suppress(OSError):
                # An experiment that was deleted meanwhile must not come back as a folder with an index.
                path.parent.mkdir(parents=path.parent.name != FOLDER, exist_ok=True)
                with atomic_file(path) as file:
                    file.write(content)
                return

    def _paths(self) -> list[Path]:
        """Where it may lie, the place to write first."""
        from rc_core.image_cache import cache_directory

        experiment = hashlib.sha256(self._storage.location.encode()).hexdigest()[:32]
        paths = [cache_directory() / "index" / experiment / f"{self._name}.arrow"]
        if isinstance(self._storage, LocalStorage):
            paths.insert(0, self._storage.path / FOLDER / f"{self._name}.arrow")
        return paths

    def _encode(self, table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(
            sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        ) as writer:
            writer.write_table(table)
        body: bytes = sink.getvalue().to_pybytes()
        return self._header(body) + body

    def _decode(self, content: bytes) -> pa.Table | None:
        body = memoryview(content)[_HEADER_BYTES:]
        if content[:_HEADER_BYTES] != self._header(body):
            return None
        return pa.ipc.open_stream(pa.py_buffer(body)).read_all()

    def _header(self, body: bytes | memoryview) -> bytes:
        return f"{_FORMAT} {self._kind} {crc32c(body):08x}".ljust(_HEADER_BYTES - 1).encode() + b"\n"


def keep_unchanged(
    table: pa.Table | None, cell_ids: Sequence[str], stamps: Sequence[FileStamp | None]
) -> pa.Table | None:
    """The rows of an index that are still true, in the order of `cell_ids`, without their stamps.

    Args:
        table: as of `IndexFile.read`.
        cell_ids: cells that are asked for.
        stamps: of their files, now.

    Returns:
        None where there is no such row.
    """
    if table is None:
        return None
    places = {cell_id: place for place, cell_id in enumerate(table["cell_id"].to_pylist())}
    written = list(zip(*(table[name].to_pylist() for name in _STAMP_COLUMNS), strict=True))
    kept = [
        place
        for cell_id, stamp in zip(cell_ids, stamps, strict=True)
        if (place := places.get(cell_id)) is not None and stamp == written[place]
    ]
    if not kept:
        return None
    return take_rows(table.drop_columns(list(_STAMP_COLUMNS)), kept)


def with_stamps(table: pa.Table, stamps: Sequence[FileStamp | None]) -> pa.Table:
    """A table as it goes into an index: rows without a stamp are left out."""
    stamped = table.filter(pa.array([stamp is not None for stamp in stamps]))
    values = [stamp for stamp in stamps if stamp is not None]
    for number, name in enumerate(_STAMP_COLUMNS):
        column = pa.array([stamp[number] for stamp in values], type=pa.int64())
        stamped = stamped.append_column(name, column)
    return stamped


def is_worth_writing(num_new: int, num_all: int) -> bool:
    """Whether reading the new cells again and again would cost more than writing the index anew."""
    return num_new > max(_FEW_CELLS, _FEW_SHARE * num_all)


def take_rows(table: pa.Table, places: Sequence[int]) -> pa.Table:
    """The rows at the places; the table itself where these are all of its rows in their order."""
    return table if list(places) == list(range(len(table))) else table.take(pa.array(places, type=pa.int64()))
