"""The framing of a TFRecord file, with every checksum verified before a byte is interpreted.

A record is `length (uint64) | masked CRC32C of those 8 bytes (uint32) | payload | masked CRC32C of the
payload (uint32)`, little-endian, one after another without a file header
(https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details"). The `tfrecord` package
skips both checksums and takes an empty file, or one cut off between two records, for a complete one.
"""

from __future__ import annotations

import struct
from os import PathLike, fspath
from pathlib import Path

from crc32c import crc32c

REMEDY = "restore the file from its source, or make it again with 'rcsweep data prepare'"

_HEADER = struct.Struct("<QI")  # length of the payload in bytes, masked CRC32C of the 8 length bytes
_FOOTER = struct.Struct("<I")  # masked CRC32C of the payload
_MASK_DELTA = 0xA282EAD8
_OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x1f\x8b": "gzip data: decompress it first",
    b"PK\x03\x04": "a zip archive",
    b"\x80\x02": "a pickle",
    b"version https://git-lfs": "a Git LFS pointer: run 'git lfs pull'",
}


class TFRecordError(ValueError):
    """A TFRecord file that cannot be trusted; the message says where, what is wrong and what to do.

    Attributes:
        path: the file.
        record_number: 0-based number of the record in question.
        byte_offset: position in the file where that record starts.
        problem: what is wrong, without the place.
        remedy: what to do about it.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        record_number: int,
        byte_offset: int,
        problem: str,
        remedy: str = REMEDY,
    ) -> None:
        # All of them in `args`, so that the exception survives pickling on its way out of a worker process.
        super().__init__(fspath(path), record_number, byte_offset, problem, remedy)
        self.path = Path(path)
        self.record_number = record_number
        self.byte_offset = byte_offset
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.path}: record {self.record_number} at byte {self.byte_offset}"
        return f"{place}: {self.problem}; {self.remedy}"


def masked_crc32c(data: bytes | memoryview) -> int:
    """Returns the masked CRC32C of TFRecord framing, `((crc >> 15) | (crc << 17)) + 0xA282EAD8` mod 2^32."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def read_records(path: str | PathLike[str], *, expected_num_records: int | None = None) -> list[memoryview]:
    """Returns the payloads of all records, after both checksums of every record have been verified.

    Args:
        path: a TFRecord file, uncompressed.
        expected_num_records: number of records that the file must hold; only this reveals a file cut off
            exactly between two records. None accepts any number above zero.

    Returns:
        One read-only view a record, in file order. They share one buffer as large as the file.

    Raises:
        TFRecordError: a damaged, truncated or empty file, or another number of records.
        OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    view = memoryview(data)
    return [view[start:end] for start, end in find_payloads(path, data, expected_num_records)]


def find_payloads(
    path: str | PathLike[str], data: bytes, expected_num_records: int | None = None
) -> list[tuple[int, int]]:
    """Verifies the framing of a whole file held in memory.

    Args:
        path: where `data` comes from, for messages.
        data: content of the file.
        expected_num_records: as in `read_records`.

    Returns:
        `(start, end)` of every payload as byte positions in `data`; the record starts 12 bytes earlier.

    Raises:
        TFRecordError: as in `read_records`.
    """
    view = memoryview(data)
    size_bytes = len(data)
    payloads: list[tuple[int, int]] = []
    offset = 0
    while offset < size_bytes:
        number = len(payloads)
        if offset + _HEADER.size > size_bytes:
            problem = f"the file ends inside the record's header, {size_bytes - offset} of 12 bytes are there"
            raise TFRecordError(path, number, offset, problem)
        length, length_crc = _HEADER.unpack_from(data, offset)
        computed = masked_crc32c(view[offset : offset + 8])
        if computed != length_crc:
            # Checked before the length is used: one flipped bit would otherwise ask for exabytes.
            raise TFRecordError(path, number, offset, _describe_header(data, offset, length_crc, computed))
        start = offset + _HEADER.size
        end = start + length
        if end + _FOOTER.size > size_bytes:
            problem = (
                f"the file ends inside the record, which needs {length + _FOOTER.size} bytes after its "
                f"header where {size_bytes - start} are left"
            )
            raise TFRecordError(path, number, offset, problem)
        (payload_crc,) = _FOOTER.unpack_from(data, end)
        computed = masked_crc32c(view[start:end])
        if computed != payload_crc:
            problem = f"the payload fails its CRC32C (stored {payload_crc:08x}, computed {computed:08x})"
            raise TFRecordError(path, number, offset, problem)
        payloads.append((start, end))
        offset = end + _FOOTER.size
    _check_count(path, payloads, size_bytes, expected_num_records)
    return payloads


def _check_count(
    path: str | PathLike[str], payloads: list[tuple[int, int]], size_bytes: int, expected: int | None
) -> None:
    count = len(payloads)
    if count == 0:
        raise TFRecordError(path, 0, 0, "the file is empty")
    if expected is None or count == expected:
        return
    if count < expected:
        problem = (
            f"the file ends after {count} records, expected {expected}: it was cut off between two records"
        )
        raise TFRecordError(path, count, size_bytes, problem)
    offset = payloads[expected][0] - _HEADER.size
    raise TFRecordError(path, expected, offset, f"the file holds {count} records, expected {expected}")


def _describe_header(data: bytes, offset: int, stored: int, computed: int) -> str:
    problem = f"the length field fails its CRC32C (stored {stored:08x}, computed {computed:08x})"
    if offset > 0:
        return problem
    for magic, name in _OTHER_FORMATS.items():
        if data.startswith(magic):
            return f"this is not a TFRecord file but looks like {name}"
    if data[:64].isascii() and data[:64].decode("ascii").replace("\n", "").replace("\r", "").isprintable():
        return "this is not a TFRecord file but looks like text"
    return f"{problem}: damaged from the start, or not a TFRecord file"
