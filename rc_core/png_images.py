"""PNG images as arrays: strict checks first, then decoding by Pillow.

Pillow skips the CRC of IDAT chunks, so a corrupt PNG could decode to wrong pixels; libpng behind
`torchvision.io.decode_png` was seen to kill the process on one. Here every chunk is checked, and only the
chunks that carry pixels reach the decoder.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bit depth, colour type, compression, filter, interlace
_CHANNELS = {0: 1, 2: 3}  # PNG colour type -> channels: grayscale, RGB
_MAX_SIDE_PIXELS = 4096  # no data set of this project comes near; a header of 2^31 must not be allocated


class PngError(ValueError):
    """A PNG stream that is damaged or of a kind that is not supported."""


class _Layout(NamedTuple):
    height: int
    width: int
    channels: int


def encode_png(image: NDArray[np.uint8], *, compress_level: int = 6) -> bytes:
    """Encodes one image as PNG, grayscale or RGB.

    Args:
        image: uint8 (H, W, C), C = 1 or 3.
        compress_level: zlib level 0..9; 0 stores, so that the bytes do not depend on the zlib in use.

    Returns:
        The PNG stream.
    """
    from PIL import Image

    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=compress_level)
    return stream.getvalue()


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Decodes one 8-bit grayscale or RGB PNG.

    Args:
        data: the PNG stream.

    Returns:
        uint8 (H, W, C), C = 1 for grayscale and 3 for RGB.

    Raises:
        PngError: damaged stream, palette, alpha or 16-bit image, or a side above 4096 pixels.
    """
    from PIL import Image

    layout, pixel_chunks = _check_chunks(data)
    try:
        with Image.open(io.BytesIO(pixel_chunks), formats=("PNG",)) as image:
            pixels = image.tobytes()
    except (
        Exception
    ) as error:  # Pillow answers bad streams with OSError, SyntaxError, ValueError, struct.error ...
        raise PngError(f"Pillow cannot decode it ({type(error).__name__}: {error})") from error
    return np.frombuffer(pixels, dtype=np.uint8).reshape(layout)


def _check_chunks(data: bytes) -> tuple[_Layout, bytes]:
    """Verifies signature, chunk order and chunk CRCs.

    Returns:
        The image's layout, and the stream without ancillary chunks: text, profiles and animation do not
        change pixels, but make Pillow warn or raise.
    """
    if not data.startswith(_SIGNATURE):
        raise PngError("it does not start with the PNG signature")
    kept = [_SIGNATURE]
    layout: _Layout | None = None
    offset = len(_SIGNATURE)
    while True:
        if offset + 12 > len(data):
            raise PngError("it is truncated")
        length = int.from_bytes(data[offset : offset + 4], "big")
        end = offset + 12 + length
        if end > len(data):
            raise PngError("it is truncated")
        body = data[offset + 4 : end - 4]
        kind = body[:4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            raise PngError(f"its chunk {kind!r} at byte {offset} fails its CRC")
        if layout is None:
            layout = _read_header(kind, body[4:])
        is_critical = not kind[0] & 0x20  # bit 5 of the first letter: lower case is ancillary
        if is_critical and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise PngError(f"it has an unknown critical chunk {kind!r}")
        if kind in (b"IHDR", b"IDAT", b"IEND"):  # PLTE only suggests colours in a grayscale or RGB image
            kept.append(data[offset:end])
        if kind == b"IEND":
            return layout, b"".join(kept)
        offset = end


def _read_header(kind: bytes, body: bytes) -> _Layout:
    if kind != b"IHDR" or len(body) != _HEADER.size:
        raise PngError("it does not begin with an IHDR chunk")
    width, height, bit_depth, colour_type, *_ = _HEADER.unpack(body)
    if bit_depth != 8 or colour_type not in _CHANNELS:
        raise PngError(
            f"only 8-bit grayscale and RGB are read, not bit depth {bit_depth}, colour type {colour_type}"
        )
    if not (0 < width <= _MAX_SIDE_PIXELS and 0 < height <= _MAX_SIDE_PIXELS):
        raise PngError(f"its size {height}x{width} is outside 1..{_MAX_SIDE_PIXELS} pixels a side")
    return _Layout(height, width, _CHANNELS[colour_type])
