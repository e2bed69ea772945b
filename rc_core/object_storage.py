"""Experiments in object storage, through pyarrow.

Requests to S3: one to write a file of up to 10 MB, two to read one, one per 1,000 names to list, one per
1,000 files of the whole tree for stamps; two to delete what is missing, four to six to delete a file or a
folder.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from rc_core.outages import OutageError, Outages
from rc_core.readers import read_all
from rc_core.s3 import S3Address, connect, parse_s3_uri
from rc_core.stamps import FileStamp

_Result = TypeVar("_Result")

# Stamps of so many files are asked for one by one rather than by a listing of everything.
_FEW_NAMES = 32

# Errors that are an answer; whatever else a file system reports counts as an outage.
_ANSWERS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
_DENIED = re.compile(
    r"AWS Error (ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|SIGNATURE_DOES_NOT_MATCH|"
    r"INVALID_SIGNATURE|INCOMPLETE_SIGNATURE|MISSING_AUTHENTICATION_TOKEN|UNRECOGNIZED_CLIENT|OPT_IN_REQUIRED|"
    r"REQUEST_EXPIRED|REQUEST_TIME_TOO_SKEWED|ACCOUNT_PROBLEM)|HTTP status 40[13]\b|ExpiredToken"
)
_NO_BUCKET = re.compile(r"AWS Error NO_SUCH_BUCKET|Bucket '.*' not found")
# Redirections (another region) and bad requests, but neither time-outs, conflicts nor throttling.
_REFUSED = re.compile(r"HTTP status (3\d\d|4(?!08|09|25|29)\d\d)\b")


class StorageError(OSError):
    """Object storage cannot be used as it is set up; the message says what to do."""


def is_outage(error: OSError) -> bool:
    """Whether an error of pyarrow's tells of no answer (network, time-out, 5xx, throttling)."""
    text = str(error)
    return not isinstance(error, _ANSWERS) and not any(
        pattern.search(text) for pattern in (_DENIED, _NO_BUCKET, _REFUSED)
    )


class ObjectStore:
    """A file system of pyarrow behind a network; all folders in it share one, and with it its outages.

    Args:
        name: URI of its root, for messages.
        filesystem: of pyarrow.
        outages: of the service.
        bucket: in which everything lies, where a missing bucket has to be told from a missing file.
    """

    def __init__(self, name: str, filesystem: Any, outages: Outages, bucket: str | None = None) -> None:
        self._name, self._filesystem, self._outages, self._bucket = name, filesystem, outages, bucket
        self._bucket_is_there = bucket is None

    def ask(self, where: str, request: Callable[[Any], _Result]) -> _Result:
        """Result of `request`, a function of the file system that may be called more than once.

        Raises:
            OutageError: no answer for minutes.
            PermissionError: the credentials do not suffice.
            StorageError: there is no such bucket.
            FileNotFoundError: there is the bucket, but not the file.
        """
        try:
            result = self._survive(where, request)
        except FileNotFoundError:
            self._require_bucket()
            raise
        self._bucket_is_there = True
        return result

    def _survive(self, where: str, request: Callable[[Any], _Result]) -> _Result:
        return _explained(where, lambda: self._outages.survive(lambda: request(self._filesystem), where))

    def _require_bucket(self) -> None:
        """Once per process: S3 answers the request for a file in a missing bucket as for a missing file."""
        from pyarrow.fs import FileType

        if self._bucket_is_there:
            return
        with suppress(PermissionError):  # a role may see the files, but not the bucket
            info = self._survive(self._name, lambda filesystem: filesystem.get_file_info(self._bucket))
            if info.type == FileType.NotFound:
                raise _no_bucket(self._name)
        self._bucket_is_there = True


class ArrowStorage:
    """A folder of an object store, which replaces a file as a whole when it is closed.

    A pickle of it holds its location alone.
    """

    def __init__(self, uri: str, store: ObjectStore, path: str) -> None:
        base, mark, query = uri.partition("?")
        self._uri, self._store, self._path = f"{base.rstrip('/')}{mark}{query}", store, path.strip("/")

    def __reduce__(self) -> tuple[Any, ...]:
        from rc_core.storage import open_storage

        return open_storage, (self._uri,)

    @property
    def location(self) -> str:
        """URI."""
        return self._uri

    def folder(self, name: str) -> ArrowStorage:
        """See `Storage.folder`."""
        return ArrowStorage(self._uri_of(name), self._store, f"{self._path}/{name}")

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""

        def request(filesystem: Any) -> bytes:
            with filesystem.open_input_file(f"{self._path}/{name}") as file:
                content: bytes = file.read()
                return content

        return self._store.ask(self._uri_of(name), request)

    def write(self, name: str, content: bytes) -> None:
        """See `Storage.write`."""

        def request(filesystem: Any) -> None:
            with filesystem.open_output_stream(f"{self._path}/{name}") as file:
                file.write(content)

        self._store.ask(self._uri_of(name), request)

    def names(self) -> list[str]:
        """See `Storage.names`. Like a local folder, one whose last file was deleted keeps its own name."""
        from pyarrow.fs import FileSelector

        try:
            infos = self._store.ask(
                self._uri, lambda filesystem: filesystem.get_file_info(FileSelector(self._path))
            )
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(info.base_name for info in infos if not info.base_name.startswith("."))

    def stamps(self, names: Sequence[str]) -> list[FileStamp | None]:
        """See `Storage.stamps`: one listing of the whole tree, or a request for each of a few names."""
        from pyarrow.fs import FileSelector

        if len(names) <= _FEW_NAMES:
            return read_all(lambda name: _stamp(self._file_info(f"{self._path}/{name}")), names)
        try:
            infos = self._store.ask(
                self._uri,
                lambda filesystem: filesystem.get_file_info(FileSelector(self._path, recursive=True)),
            )
        except (FileNotFoundError, NotADirectoryError):
            return [None] * len(names)
        wanted = {f"{self._path}/{name}" for name in names}
        found = {info.path: _stamp(info) for info in infos if info.path in wanted}
        return [found.get(f"{self._path}/{name}") for name in names]

    def _file_info(self, path: str) -> Any:
        return self._store.ask(path, lambda filesystem: filesystem.get_file_info(path))

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        from pyarrow.fs import FileSelector

        path = f"{self._path}/{name}"

        def request(filesystem: Any) -> None:
            try:
                filesystem.get_file_info(FileSelector(path))
            except (FileNotFoundError, NotADirectoryError):
                filesystem.delete_file(path)
            else:
                filesystem.delete_dir(path)

        with suppress(FileNotFoundError, NotADirectoryError):
            self._store.ask(self._uri_of(name), request)

    def _uri_of(self, name: str) -> str:
        """The URI of a child: its name goes before the query."""
        base, mark, query = self._uri.partition("?")
        return f"{base}/{name}{mark}{query}"


def _stamp(info: Any) -> FileStamp | None:
    """The stamp of a file, in whole seconds: listings may tell more than requests. None of anything else."""
    from pyarrow.fs import FileType

    if info.type != FileType.File:
        return None
    return FileStamp(info.size or 0, (info.mtime_ns or 0) // 10**9 * 10**9)


def open_s3(uri: str, patience_seconds: float) -> ArrowStorage:
    """The folder at an `s3://` URI, see s3.py. Processes keep one connection for each bucket.

    Raises:
        ValueError: as of `parse_s3_uri`.
        OSError: as of `ObjectStore.ask`; only where the region has to be asked for.
    """
    address = parse_s3_uri(uri, os.environ)
    store = _store(address._replace(prefix=""), patience_seconds)
    return ArrowStorage(uri, store, f"{address.bucket}/{address.prefix}")


@functools.cache
def _store(address: S3Address, patience_seconds: float) -> ObjectStore:
    name = f"s3://{address.bucket}" + (f" at {address.endpoint}" if address.endpoint else "")
    outages = Outages(name, patience_seconds, is_outage)
    filesystem = _explained(name, lambda: outages.survive(lambda: connect(address), name))
    return ObjectStore(name, filesystem, outages, address.bucket)


def _explained(where: str, ask: Callable[[], _Result]) -> _Result:
    """Result of `ask`; errors that a user can mend say how."""
    try:
        return ask()
    except (*_ANSWERS, OutageError):
        raise
    except OSError as error:
        text = str(error)
        if _NO_BUCKET.search(text):
            raise _no_bucket(where) from error
        if _DENIED.search(text):
            raise PermissionError(
                f"{where}: access denied ({text}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the "
                "role, its right to list, read, write and delete there, and this machine's clock"
            ) from error
        if _REFUSED.search(text):
            raise StorageError(
                f"{where}: refused ({text}); check bucket, region and endpoint: AWS_ENDPOINT_URL, or "
                "?region= and &endpoint_override= in the URI"
            ) from error
        raise


def _no_bucket(where: str) -> StorageError:
    bucket = where.removeprefix("s3://").partition("/")[0].partition(" ")[0]
    return StorageError(
        f"{where}: there is no bucket {bucket!r}, and rcsweep makes none; create it (aws s3 mb "
        f"s3://{bucket}), or check the name and AWS_ENDPOINT_URL"
    )
