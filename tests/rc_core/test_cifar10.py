"""Every source of CIFAR-10, in small: five batches of ten images and a test batch of eight."""

import hashlib
import io
import pickle
import struct
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from rc_core.cifar10 import prepare_cifar10
from rc_core.dataset_info import CIFAR10
from rc_core.tfrecords import read_images

SMALL = replace(CIFAR10, num_train=50, num_test=8)
RNG = np.random.default_rng(11)
TRAIN_IMAGES = RNG.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
TEST_IMAGES = RNG.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
TRAIN_LABELS = RNG.integers(0, 10, 50)
TEST_LABELS = RNG.integers(0, 10, 8)
BATCHES = [
    (f"data_batch_{k + 1}", TRAIN_IMAGES[k * 10 :][:10], TRAIN_LABELS[k * 10 :][:10]) for k in range(5)
]
BATCHES.append(("test_batch", TEST_IMAGES, TEST_LABELS))


def planes(images: np.ndarray) -> bytes:
    return b"".join(image[..., channel].tobytes() for image in images for channel in range(3))


def python2_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The pickle that Python 2's cPickle and numpy 1 wrote, opcode by opcode."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    none, minus_one = b"N", b"J" + struct.pack("<i", -1)
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    dtype_state = b"(K\x03" + text(b"|") + none * 3 + minus_one * 2 + b"K\x00t"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R" + dtype_state + b"b"
    shape = b"M" + struct.pack("<H", len(images)) + b"M" + struct.pack("<H", 3072) + b"\x86"
    array = reconstruct + b"(K\x01" + shape + dtype + b"\x89" + text(planes(images)) + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    label = text(b"batch_label") + text(b"batch 1 of 5")
    return b"\x80\x02}(" + label + text(b"data") + array + text(b"labels") + listed + b"u."


def binary_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    return b"".join(bytes([label]) + planes([image]) for image, label in zip(images, labels, strict=True))


def python_files() -> dict[str, bytes]:
    files = {f"cifar-10-batches-py/{name}": python2_batch(images, labels) for name, images, labels in BATCHES}
    meta = {"label_names": list(CIFAR10.class_names)}
    return files | {"cifar-10-batches-py/batches.meta": pickle.dumps(meta, 2)}


def binary_files() -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": binary_batch(images, labels) for name, images, labels in BATCHES
    }


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def extract(files: dict[str, bytes], root):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def check_prepared(out, written):
    assert written == [out / "cifar10_train.tfrecord", out / "cifar10_test.tfrecord"]
    assert sorted(out.iterdir()) == sorted(written)
    for path, images, labels in zip(
        written, (TRAIN_IMAGES, TEST_IMAGES), (TRAIN_LABELS, TEST_LABELS), strict=True
    ):
        found = read_images(path, expected_num_records=len(labels))
        np.testing.assert_array_equal(found.images, images)
        np.testing.assert_array_equal(found.labels, labels)


FILES = {"python": python_files, "binary": binary_files}


@pytest.mark.parametrize("kind", FILES)
def test_archives(tmp_path, kind):
    source = tmp_path / "any-name.tar.gz"
    source.write_bytes(archive(FILES[kind]()))
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    for digest in (None, md5, md5.upper()):
        written = prepare_cifar10(tmp_path / "out", source, md5=digest, info=SMALL)
        check_prepared(tmp_path / "out", written)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("inside", [True, False])
def test_extracted_directories(tmp_path, kind, inside):
    files = FILES[kind]()
    source = extract(files, tmp_path / "in")
    if inside:
        source /= next(iter(files)).split("/")[0]
    check_prepared(tmp_path / "out", prepare_cifar10(tmp_path / "out", source, info=SMALL))


def test_class_folders(tmp_path):
    counts = dict.fromkeys(range(10), 0)
    for label, image in zip(TRAIN_LABELS, TRAIN_IMAGES, strict=True):
        directory = tmp_path / "in" / "train" / CIFAR10.class_names[label]
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(directory / f"{counts[label]:02}.png")
        counts[label] += 1
    for label, name in enumerate(CIFAR10.class_names):
        (tmp_path / "in" / "test" / name).mkdir(parents=True)
        Image.fromarray(TEST_IMAGES[label % 8]).save(tmp_path / "in" / "test" / name / "0.png")
    written = prepare_cifar10(tmp_path / "out", tmp_path / "in", info=replace(SMALL, num_test=10))
    found = read_images(written[0], expected_num_records=50)
    turns = sorted(
        range(50), key=lambda k: (int(np.sum(TRAIN_LABELS[:k] == TRAIN_LABELS[k])), TRAIN_LABELS[k])
    )
    np.testing.assert_array_equal(found.images, TRAIN_IMAGES[turns])
    np.testing.assert_array_equal(found.labels, TRAIN_LABELS[turns])


def test_the_official_checksums_are_the_default(tmp_path):
    source = tmp_path / "cifar-10-python.tar.gz"
    source.write_bytes(archive(python_files()))
    found = hashlib.md5(source.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=f"has MD5 {found}, expected") as caught:
        prepare_cifar10(tmp_path / "out", source, info=SMALL)
    message = str(caught.value)
    assert "c58f30108f718f92721af3b95e74349a (cifar-10-python.tar.gz)" in message
    assert "c32a1d4ab5d03f1284b67883e8d87530 (cifar-10-binary.tar.gz)" in message
    assert "download it again" in message
    assert not (tmp_path / "out").exists()


def test_an_incomplete_source_is_refused(tmp_path):
    files = python_files()
    del files["cifar-10-batches-py/data_batch_4"]
    source = extract(files, tmp_path / "in")
    with pytest.raises(ValueError, match="lacks data_batch_4"):
        prepare_cifar10(tmp_path / "out", source, info=SMALL)
    with pytest.raises(ValueError, match="has 50 train images and 50 labels, expected 50000"):
        prepare_cifar10(tmp_path / "out", extract(python_files(), source))
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_no_cifar10(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="none of the layouts of CIFAR-10"):
        prepare_cifar10(tmp_path / "out", tmp_path / "in")
    with pytest.raises(FileNotFoundError, match=r"absent\.tar\.gz does not exist"):
        prepare_cifar10(tmp_path / "out", tmp_path / "absent.tar.gz")
    source = tmp_path / "other.tar.gz"
    source.write_bytes(archive({"readme.txt": b"x", "../../cifar-10-batches-py/data_batch_1": b"x"}))
    with pytest.raises(ValueError, match="has no batches of CIFAR-10"):
        prepare_cifar10(tmp_path / "out", source, md5=None)


@pytest.mark.parametrize("kept", [0, 5, 100, 20_000, -40_000, -5])
def test_a_truncated_archive(tmp_path, kept):
    source = tmp_path / "cut.tar.gz"
    source.write_bytes(archive(python_files())[:kept])
    with pytest.raises(ValueError, match="cannot be read as a tar archive"):
        prepare_cifar10(tmp_path / "out", source, md5=None, info=SMALL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cifar-10-batches-py/data_batch_2", b"damaged", "data_batch_2: not a readable pickle"),
        (
            "cifar-10-batches-py/data_batch_2",
            pickle.dumps({}),
            "data_batch_2: its 'data' is not a uint8 array",
        ),
        (
            "cifar-10-batches-py/test_batch",
            python2_batch(TEST_IMAGES, TEST_LABELS[:5]),
            "test_batch: its 'labels' are not a list of 8 integers",
        ),
        (
            "cifar-10-batches-py/test_batch",
            python2_batch(TEST_IMAGES, np.full(8, 10)),
            r"a test label of the source is outside 0\.\.9 \(lowest 10, highest 10\)",
        ),
        ("cifar-10-batches-py/test_batch", b"cos\nsystem\n(S'true'\ntR.", "os.system, which is not allowed"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_batch_is_named(tmp_path, name, content, problem, packed):
    files = python_files() | {name: content}
    if packed:
        source = tmp_path / "in.tar.gz"
        source.write_bytes(archive(files))
    else:
        source = extract(files, tmp_path / "in")
    with pytest.raises(ValueError, match=problem):
        prepare_cifar10(tmp_path / "out", source, md5=None, info=SMALL)
    assert not (tmp_path / "out").exists()


def test_a_torn_binary_batch(tmp_path):
    source = extract(binary_files(), tmp_path / "in")
    path = source / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: its 30729 bytes are not a number of records"):
        prepare_cifar10(tmp_path / "out", source, info=SMALL)


def test_an_interrupted_conversion_leaves_what_was_there(tmp_path):
    source = tmp_path / "in.tar.gz"
    source.write_bytes(archive(python_files()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "cifar10_train.tfrecord").write_bytes(b"old")

    def interrupt(done: int, total: int) -> None:
        assert total == 58
        if done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_cifar10(out, source, md5=None, info=SMALL, progress=interrupt)
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("cifar10_train.tfrecord", b"old")]


# The download, from a real server on the loopback interface


@pytest.fixture
def server(monkeypatch):
    """Serves `served["content"]`, and hangs up after `served["cut"]` bytes; torchvision is pointed at it."""
    import torchvision

    served: dict = {"content": archive(python_files()), "cut": None}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served["content"])))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(served["content"][: served["cut"]])

        def log_message(self, *arguments: object) -> None: ...

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    dataset = torchvision.datasets.CIFAR10
    files = python_files()

    def md5(name: str) -> str:
        return hashlib.md5(files[f"cifar-10-batches-py/{name}"]).hexdigest()

    monkeypatch.setattr(dataset, "url", f"http://127.0.0.1:{http_server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(served["content"]).hexdigest())
    monkeypatch.setattr(dataset, "train_list", [[name, md5(name)] for name, *_ in BATCHES[:5]])
    monkeypatch.setattr(dataset, "test_list", [["test_batch", md5("test_batch")]])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": md5("batches.meta")})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield served
    http_server.shutdown()
    thread.join()
    http_server.server_close()


def test_the_download(tmp_path, server):
    written = prepare_cifar10(tmp_path / "out", info=SMALL)
    check_prepared(tmp_path / "out", written)


def test_a_connection_cut_in_the_middle(tmp_path, server):
    server["cut"] = len(server["content"]) // 2
    with pytest.raises(ConnectionError, match=r"the download of http://127\.0\.0\.1.* failed") as caught:
        prepare_cifar10(tmp_path / "out", info=SMALL)
    assert "--source cifar-10-python.tar.gz" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_download_with_another_checksum(tmp_path, server):
    server["content"] = server["content"][:-1] + b"x"
    with pytest.raises(ConnectionError, match="File not found or corrupted"):
        prepare_cifar10(tmp_path / "out", info=SMALL)
    assert not (tmp_path / "out").exists()


def test_a_server_that_does_not_answer(tmp_path, server, monkeypatch):
    import torchvision

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(ConnectionError, match="Try again, or get cifar-10-python"):
        prepare_cifar10(tmp_path / "out", info=SMALL)
    assert not (tmp_path / "out").exists()


def test_an_interruption_after_the_download_leaves_nothing(tmp_path, server):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_cifar10(tmp_path / "out", info=SMALL, progress=interrupt)
    assert not (tmp_path / "out").exists()
