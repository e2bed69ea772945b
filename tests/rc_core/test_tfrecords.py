"""TFRecord files: independent CRC oracle, every kind of damage, and the real CIFAR-10 where it is present."""

import hashlib
import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc_core.record_frames import find_payloads
from rc_core.tfrecords import (
    TFRecordError,
    count_classes,
    decode_records,
    masked_crc32c,
    read_images,
    read_records,
    verify,
    write_images,
)

PROJECT = Path(__file__).parents[2]
NUM_RECORDS = 3
RNG = np.random.default_rng(7)
IMAGES = RNG.integers(0, 256, (NUM_RECORDS, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 9])


def bitwise_crc32c(data: bytes) -> int:
    """Castagnoli's polynomial, reflected, one bit at a time: shares nothing with the crc32c package."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    def masked(data: bytes) -> bytes:
        crc = bitwise_crc32c(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def png(image: np.ndarray, *, interfere=lambda raw: raw) -> bytes:
    """An unfiltered PNG written by hand."""
    height, width, channels = image.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = interfere(b"".join(b"\x00" + line.tobytes() for line in image))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def example(image: np.ndarray = IMAGES[0], label: int = 3, **changes) -> bytes:
    """A serialized Example; `changes` maps feature names (with _ for /) to (value, type), None removes."""
    from tfrecord.writer import TFRecordWriter

    height, width, _ = image.shape
    features = {
        "image/encoded": (png(image), "byte"),
        "image/format": (b"png", "byte"),
        "image/class/label": (label, "int"),
        "image/height": (height, "int"),
        "image/width": (width, "int"),
    }
    for name, change in changes.items():
        features[name.replace("_", "/")] = change
    return TFRecordWriter.serialize_tf_example({k: v for k, v in features.items() if v is not None})


def build(*payloads: bytes) -> bytes:
    return b"".join(frame(payload) for payload in payloads)


@pytest.fixture(scope="module")
def good() -> bytes:
    return build(*(example(image, int(label)) for image, label in zip(IMAGES, LABELS, strict=True)))


@pytest.fixture
def file(tmp_path):
    def write(content: bytes) -> Path:
        path = tmp_path / "damaged.tfrecord"
        path.write_bytes(content)
        return path

    return write


def second_record(data: bytes) -> tuple[int, int, int]:
    """Offset of record 1, start and end of its payload."""
    start, end = find_payloads("x", data)[1]
    return start - 12, start, end


def flip(data: bytes, position: int, bit: int = 0) -> bytes:
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


# Checksums


def test_crc32c_agrees_with_the_published_vector_and_a_bitwise_oracle():
    assert bitwise_crc32c(b"123456789") == 0xE3069283
    assert crc32c.crc32c(b"123456789") == 0xE3069283
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


@given(st.binary(max_size=200))
def test_framing_written_by_hand_is_read_back(payload):
    assert find_payloads("x", frame(payload) * 2) == [
        (12, 12 + len(payload)),
        (28 + len(payload), 28 + 2 * len(payload)),
    ]


# Round trips


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compress_level", [0, 6])
def test_what_is_written_is_read_back(tmp_path, channels, compress_level):
    path = tmp_path / "a.tfrecord"
    images = IMAGES[..., :channels]
    write_images(path, images, LABELS, compress_level=compress_level)
    found = read_images(path, expected_num_records=NUM_RECORDS, expected_shape=(4, 5, channels))
    assert found.images.dtype == np.uint8
    assert found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tfrecord"]


def test_the_tfrecord_package_reads_what_is_written(tmp_path):
    from PIL import Image
    from tfrecord.reader import tfrecord_loader

    path = tmp_path / "a.tfrecord"
    write_images(path, IMAGES, LABELS)
    for index, features in enumerate(tfrecord_loader(str(path), None)):
        (tmp_path / "image.png").write_bytes(features["image/encoded"])
        with Image.open(tmp_path / "image.png") as image:
            np.testing.assert_array_equal(np.asarray(image), IMAGES[index])
        assert features["image/class/label"] == LABELS[index]
        assert (features["image/height"], features["image/width"]) == (4, 5)
        assert features["image/format"] == b"png"


def test_records_are_read_only_views_in_file_order(file, good):
    records = read_records(file(good), expected_num_records=3)
    assert [bytes(record) for record in records] == [good[s:e] for s, e in find_payloads("x", good)]
    assert all(record.readonly for record in records)


def test_the_features_are_written_in_sorted_order(tmp_path):
    # protobuf leaves map entries in the order of a hash whose seed changes from process to process
    write_images(tmp_path / "a", IMAGES, LABELS)
    names = [b"image/class/label", b"image/encoded", b"image/format", b"image/height", b"image/width"]
    for record in read_records(tmp_path / "a"):
        positions = [bytes(record).index(name) for name in names]
        assert positions == sorted(positions)


def test_progress_is_called_every_thousand_records_and_at_the_end(tmp_path):
    images = np.zeros((2001, 1, 1, 1), dtype=np.uint8)
    calls: list[tuple[int, int]] = []
    write_images(tmp_path / "a", images, np.zeros(2001, int), progress=lambda *call: calls.append(call))
    assert calls == [(1000, 2001), (2000, 2001), (2001, 2001)]
    calls.clear()
    read_images(tmp_path / "a", progress=lambda *call: calls.append(call))
    assert calls == [(1000, 2001), (2000, 2001), (2001, 2001)]


def test_an_interrupted_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"old")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_images(path, IMAGES, LABELS, progress=interrupt)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.tfrecord", b"old")]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float32), LABELS, "images must be uint8"),
        (IMAGES[0], LABELS, "images must be uint8"),
        (np.zeros((1, 4, 4, 4), np.uint8), LABELS[:1], "images must be uint8"),
        (IMAGES[:0], LABELS[:0], "not empty"),
        (IMAGES, LABELS[:2], r"labels must be integers \(3,\), got int64 \(2,\)"),
        (IMAGES, LABELS.astype(float), "labels must be integers"),
        (IMAGES, -LABELS, "labels must be >= 0, got -9"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, images, labels, message):
    with pytest.raises(ValueError, match=message):
        write_images(tmp_path / "a", images, labels)
    assert not list(tmp_path.iterdir())


# Damage to the file


def check_error(path: Path, record: int, offset: int, problem: str, **arguments) -> None:
    with pytest.raises(TFRecordError, match=problem) as caught:
        read_images(path, **arguments)
    error = caught.value
    assert (error.path, error.record_number, error.byte_offset) == (path, record, offset)
    assert str(error).startswith(f"{path}: record {record} at byte {offset}: ")
    assert "restore the file from its source" in str(error)
    assert "rcsweep data prepare" in str(error)


def test_truncation_inside_a_payload(file, good):
    offset, start, end = second_record(good)
    check_error(
        file(good[: end - 1]), 1, offset, f"needs {end - start + 4} bytes .* {end - start - 1} are left"
    )


def test_truncation_inside_the_last_checksum(file, good):
    offset, _, end = second_record(good)
    check_error(file(good[: end + 3]), 1, offset, "ends inside the record")


def test_truncation_inside_a_header(file, good):
    offset, _, _ = second_record(good)
    check_error(file(good[: offset + 11]), 1, offset, "inside the record's header, 11 of 12 bytes")


def test_truncation_between_records_is_seen_when_the_count_is_known(file, good):
    _, _, end = second_record(good)
    path = file(good[: end + 4])
    check_error(path, 2, end + 4, "ends after 2 records, expected 3: it was cut off", expected_num_records=3)
    assert len(read_images(path).labels) == 2


def test_more_records_than_expected(file, good):
    offset, _, _ = second_record(good)
    check_error(file(good), 1, offset, "holds 3 records, expected 1", expected_num_records=1)


@pytest.mark.parametrize("bit", range(64))
def test_a_flipped_bit_in_the_length(file, good, bit):
    offset, _, _ = second_record(good)
    damaged = flip(good, offset + bit // 8, bit % 8)
    check_error(file(damaged), 1, offset, "the length field fails its CRC32C")


def test_a_flipped_bit_in_the_length_of_the_first_record(file, good):
    check_error(file(flip(good, 7, 6)), 0, 0, "length field fails its CRC32C .*or not a TFRecord file")


def test_a_flipped_bit_in_the_checksum_of_the_length(file, good):
    offset, _, _ = second_record(good)
    check_error(file(flip(good, offset + 9)), 1, offset, "the length field fails its CRC32C")


def test_a_flipped_bit_in_the_payload(file, good):
    offset, start, _ = second_record(good)
    check_error(file(flip(good, start + 30)), 1, offset, "the payload fails its CRC32C")


def test_a_flipped_bit_in_the_checksum_of_the_payload(file, good):
    offset, _, end = second_record(good)
    check_error(file(flip(good, end + 2)), 1, offset, "the payload fails its CRC32C")


def test_an_absurd_length_with_a_valid_checksum_is_not_allocated(file):
    length = struct.pack("<Q", 2**62)
    crc = struct.pack("<I", masked_crc32c(length))
    check_error(file(length + crc + b"abc"), 0, 0, f"needs {2**62 + 4} bytes .* 3 are left")


def test_an_empty_file(file):
    check_error(file(b""), 0, 0, "the file is empty")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (png(IMAGES[0]), "looks like a PNG image"),
        (b"sepal_length,sepal_width\n5.1,3.5\n", "looks like text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip data: decompress it first"),
        (b"\x00\x01\x02\xff" * 20, "not a TFRecord file"),
        (b"short", "ends inside the record's header"),
    ],
)
def test_not_a_tfrecord_at_all(file, content, problem):
    check_error(file(content), 0, 0, problem)


def test_the_error_survives_pickling(file):
    with pytest.raises(TFRecordError) as caught:
        read_images(file(b""))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.problem == "the file is empty"


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_images(tmp_path / "absent")


# Damage inside a record whose checksums are right


def bad_second(payload: bytes) -> tuple[bytes, int]:
    first = frame(example())
    return first + frame(payload) + frame(example()), len(first)


def with_colour_type(data: bytes, depth: int, colour: int) -> bytes:
    header = b"IHDR" + data[16:24] + bytes([depth, colour]) + data[26:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def with_size(data: bytes, width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image_format": (b"jpeg", "byte")}, "'image/format' is b'jpeg', only b'png' is read"),
        ({"image_format": None}, "the feature 'image/format' is missing .present: image/class/label, "),
        ({"image_encoded": None}, "the feature 'image/encoded' is missing"),
        ({"image_class_label": None}, "the feature 'image/class/label' is missing"),
        ({"image_height": None}, "the feature 'image/height' is missing"),
        ({"image_width": None}, "the feature 'image/width' is missing"),
        ({"image_class_label": (10, "int")}, r"the label 10 is outside 0\.\.9"),
        ({"image_class_label": (-1, "int")}, r"the label -1 is outside 0\.\.9"),
        (
            {"image_class_label": (1.0, "float")},
            "'image/class/label' has type float_list, expected int64_list",
        ),
        (
            {"image_class_label": (b"1", "byte")},
            "'image/class/label' has type bytes_list, expected int64_list",
        ),
        ({"image_class_label": ([1, 2], "int")}, "'image/class/label' has 2 values, expected 1"),
        ({"image_class_label": ([], "int")}, "'image/class/label' has 0 values, expected 1"),
        ({"image_encoded": (5, "int")}, "'image/encoded' has type int64_list, expected bytes_list"),
        ({"image_height": (5, "int")}, "'image/height' and 'image/width' say 5x5, the PNG is 4x5"),
        ({"image_encoded": (b"", "byte")}, "does not start with the PNG signature"),
        ({"image_encoded": (b"\xff\xd8\xff\xe0", "byte")}, "does not start with the PNG signature"),
        ({"image_encoded": (png(IMAGES[0])[:-1], "byte")}, "it is truncated"),
        ({"image_encoded": (png(IMAGES[0])[:20], "byte")}, "it is truncated"),
        ({"image_encoded": (flip(png(IMAGES[0]), 50), "byte")}, "chunk b'IDAT' at byte 33 fails its CRC"),
        ({"image_encoded": (png(IMAGES[0], interfere=lambda raw: raw[:-9]), "byte")}, "Pillow cannot decode"),
        (
            {"image_encoded": (with_colour_type(png(IMAGES[0]), 8, 6), "byte")},
            "not bit depth 8, colour type 6",
        ),
        (
            {"image_encoded": (with_colour_type(png(IMAGES[0]), 16, 2), "byte")},
            "not bit depth 16, colour type 2",
        ),
        ({"image_encoded": (with_size(png(IMAGES[0]), 2**31 - 1, 2**31 - 1), "byte")}, "is outside 1..4096"),
        ({"image_encoded": (with_size(png(IMAGES[0]), 0, 4), "byte")}, "is outside 1..4096"),
    ],
)
def test_a_wrong_record_is_named(file, changes, problem):
    content, offset = bad_second(example(**changes))
    check_error(file(content), 1, offset, problem)


def test_an_empty_feature_has_no_type(file):
    from tfrecord.example_pb2 import Example, Feature

    message = Example.FromString(example())
    message.features.feature["image/format"].CopyFrom(Feature())
    content, offset = bad_second(message.SerializeToString())
    check_error(file(content), 1, offset, "'image/format' has type None, expected bytes_list")


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", b"no protobuf message"])
def test_a_payload_that_is_not_an_example(file, payload):
    content, offset = bad_second(payload)
    check_error(file(content), 1, offset, "not a tensorflow.Example|'image/format' is missing")


def test_images_of_two_sizes(file):
    content, offset = bad_second(example(IMAGES[0, :3]))
    check_error(file(content), 1, offset, "the image is 3x5x3, expected 4x5x3")


def test_images_of_another_size_than_the_data_set(file, good):
    check_error(file(good), 0, 0, "the image is 4x5x3, expected 8x8x1", expected_shape=(8, 8, 1))


def test_more_classes_on_request(file):
    path = file(build(example(label=99)))
    assert read_images(path, num_classes=100).labels.tolist() == [99]


def test_ancillary_chunks_do_not_change_an_image(file):
    # Pillow warns about or refuses some of these; none of them changes a pixel.
    body = b"acTL" + bytes(3)
    chunk = struct.pack(">I", 3) + body + struct.pack(">I", zlib.crc32(body))
    data = png(IMAGES[0])
    path = file(build(example(image_encoded=(data[:33] + chunk + data[33:], "byte"))))
    np.testing.assert_array_equal(read_images(path).images[0], IMAGES[0])


# Arbitrary damage


@st.composite
def damages(draw, size: int):
    """A function that damages `size` bytes: flips, a cut, an insertion, a copied or a zeroed range."""
    position = draw(st.integers(0, size - 1))
    other = draw(st.integers(0, size))
    low, high = sorted((position, other))
    kind = draw(st.sampled_from(["flips", "truncate", "delete", "insert", "repeat", "zero"]))
    if kind == "flips":
        flips = draw(
            st.lists(st.tuples(st.integers(0, size - 1), st.integers(1, 255)), min_size=1, max_size=5)
        )

        def apply(data: bytes) -> bytes:
            changed = bytearray(data)
            for where, mask in flips:
                changed[where] ^= mask
            return bytes(changed)

        return apply
    if kind == "truncate":
        return lambda data: data[:position]
    if kind == "delete":
        return lambda data: data[:low] + data[high:]
    if kind == "insert":
        extra = draw(st.binary(min_size=1, max_size=20))
        return lambda data: data[:position] + extra + data[position:]
    if kind == "repeat":
        return lambda data: data[:high] + data[low:high] + data[high:]
    return lambda data: data[:low] + bytes(high - low) + data[high:]


@pytest.mark.parametrize("count", [NUM_RECORDS])
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_damage_is_an_error_or_harmless(good, count, data):
    damaged = data.draw(damages(len(good)))(good)
    try:
        images, labels = decode_records("x", damaged, expected_num_records=count)
    except TFRecordError:
        return
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage_to_the_png_is_an_error_or_harmless(data):
    stream = png(IMAGES[0])
    damaged = data.draw(damages(len(stream)))(stream)
    try:
        images, _ = decode_records("x", build(example(image_encoded=(damaged, "byte"))))
    except TFRecordError:
        return
    np.testing.assert_array_equal(images[0], IMAGES[0])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_payload_is_an_image_or_an_error(data):
    payload = example()
    damaged = data.draw(st.one_of(st.binary(max_size=100), damages(len(payload)).map(lambda f: f(payload))))
    try:
        images, labels = decode_records("x", build(damaged))
    except TFRecordError:
        return
    np.testing.assert_array_equal(images[0], IMAGES[0])  # the PNG has its own checksums; the label has none
    assert 0 <= labels[0] < 10


# Verification


def test_verify_says_what_a_file_holds(file, good):
    path = file(good)
    found = verify(path, expected_num_records=3)
    assert found.class_counts == (1, 0, 0, 1, 0, 0, 0, 0, 0, 1)
    assert found[:5] == (path, 3, 4, 5, 3)
    assert found.sha256 == hashlib.sha256(good).hexdigest()


def test_count_classes_keeps_empty_classes():
    assert count_classes(np.array([2, 0, 2]), 4) == (1, 0, 2, 0)


def test_the_module_imports_without_the_heavy_packages():
    script = (
        "import sys, rc_core.tfrecords, rc_core.datasets; "
        "heavy = {'torch', 'tfrecord', 'PIL', 'sklearn', 'torchvision', 'ray'} & sys.modules.keys(); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT)


# The real CIFAR-10


@pytest.fixture(scope="module")
def cifar10() -> Path:
    directory = Path(os.environ.get("RCSWEEP_DATA", PROJECT.parent / "shared" / "data"))
    if not (directory / "cifar10_train.tfrecord").is_file():
        pytest.skip("needs cifar10_train.tfrecord and cifar10_test.tfrecord in RCSWEEP_DATA")
    return directory


def test_the_real_test_file_verifies(cifar10):
    found = verify(cifar10 / "cifar10_test.tfrecord", expected_num_records=10_000)
    assert found[1:6] == (10_000, 32, 32, 3, (1000,) * 10)


def test_real_records_agree_with_the_tfrecord_package(cifar10, tmp_path):
    from tfrecord.reader import tfrecord_iterator

    path = cifar10 / "cifar10_train.tfrecord"
    records = read_records(path, expected_num_records=50_000)
    assert len(records) == 50_000
    # The package leaves its file open unless it reads to the end.
    with open(path, "rb") as source:
        (tmp_path / "head").write_bytes(source.read(sum(len(record) + 16 for record in records[:200])))
    theirs = [bytes(record) for record in tfrecord_iterator(str(tmp_path / "head"))]
    assert theirs == [bytes(record) for record in records[:200]]


def test_a_flipped_bit_in_the_real_file_is_found(cifar10):
    data = (cifar10 / "cifar10_test.tfrecord").read_bytes()
    with pytest.raises(TFRecordError, match=r"record \d+ at byte \d+: .* fails its CRC32C"):
        find_payloads("x", flip(data, len(data) // 2), 10_000)
