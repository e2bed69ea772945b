"""One labelled image as a `tensorflow.Example`, in the layout of TF-slim's converters.

The features are `image/encoded` (PNG bytes), `image/format` (`b"png"`), `image/class/label`, `image/height`
and `image/width` (int64, one value each). The message classes are those of the `tfrecord` package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rc_core.png_images import PngError, decode_png, encode_png


class ExampleError(ValueError):
    """What is wrong inside one record; whoever knows the file adds the place."""


def encode_example(image: NDArray[np.uint8], label: int, *, compress_level: int = 6) -> bytes:
    """Serializes one labelled image; equal input gives equal bytes in every process.

    Args:
        image: uint8 (H, W, C), C = 1 or 3.
        label: class, >= 0.
        compress_level: zlib level 0..9 of the PNG stream.

    Returns:
        The payload of one TFRecord.
    """
    from tfrecord.example_pb2 import BytesList, Example, Feature, Features, Int64List

    height, width, _ = image.shape
    encoded = encode_png(image, compress_level=compress_level)
    features = {
        "image/encoded": Feature(bytes_list=BytesList(value=[encoded])),
        "image/format": Feature(bytes_list=BytesList(value=[b"png"])),
        "image/class/label": Feature(int64_list=Int64List(value=[label])),
        "image/height": Feature(int64_list=Int64List(value=[height])),
        "image/width": Feature(int64_list=Int64List(value=[width])),
    }
    # The package's own serializer leaves the order of the features to protobuf's hash seed, which changes
    # from process to process: the same data would get another SHA-256 each time.
    payload: bytes = Example(features=Features(feature=features)).SerializeToString(deterministic=True)
    return payload


def decode_example(payload: memoryview, num_classes: int) -> tuple[NDArray[np.uint8], int]:
    """Parses one record and decodes its image.

    Args:
        payload: a serialized `tensorflow.Example`.
        num_classes: the label must lie in 0..num_classes - 1.

    Returns:
        The image, uint8 (H, W, C) with C = 1 or 3, and its label.

    Raises:
        ExampleError: not an Example; a feature is missing, of another type or contradicts the PNG; the
            format is not PNG; the PNG is damaged; the label is out of range.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tfrecord.example_pb2 import Example

    try:
        features = Example.FromString(payload).features.feature
    except DecodeError as error:
        raise ExampleError(f"the payload is not a tensorflow.Example ({error})") from error
    image_format = _get_value(features, "image/format", "bytes_list")
    if image_format != b"png":
        raise ExampleError(f"feature 'image/format' is {image_format[:20]!r}, only b'png' is read")
    label: int = _get_value(features, "image/class/label", "int64_list")
    if not 0 <= label < num_classes:
        raise ExampleError(f"the label {label} is outside 0..{num_classes - 1}")
    height: int = _get_value(features, "image/height", "int64_list")
    width: int = _get_value(features, "image/width", "int64_list")
    try:
        image = decode_png(_get_value(features, "image/encoded", "bytes_list"))
    except PngError as error:
        raise ExampleError(f"the PNG in 'image/encoded' is unusable: {error}") from error
    if (height, width) != image.shape[:2]:
        stated, found = f"{height}x{width}", f"{image.shape[0]}x{image.shape[1]}"
        raise ExampleError(f"features 'image/height' and 'image/width' say {stated}, the PNG is {found}")
    return image, label


def _get_value(features: Any, name: str, kind: str) -> Any:
    """Returns the only value of a feature; `features` is protobuf's map, whose [] would add a missing key."""
    if name not in features:
        present = ", ".join(sorted(features)) or "none"
        raise ExampleError(f"the feature '{name}' is missing (present: {present})")
    feature = features[name]
    found = feature.WhichOneof("kind")
    if found != kind:
        raise ExampleError(f"the feature '{name}' has type {found}, expected {kind}")
    values = getattr(feature, kind).value
    if len(values) != 1:
        raise ExampleError(f"the feature '{name}' has {len(values)} values, expected 1")
    return values[0]
