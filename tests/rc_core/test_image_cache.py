import hashlib
import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rc_core import image_cache
from rc_core.image_cache import cache_directory, load_images
from rc_core.tfrecords import TFRecordError, write_images

PROJECT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 20)
EXPECTED = {"expected_num_records": 20, "expected_shape": (4, 4, 3), "num_classes": 10}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def path(tmp_path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    write_images(directory / "a.tfrecord", IMAGES, LABELS)
    return directory / "a.tfrecord"


class Decodings(list):
    """Counts decodings by the progress call at the end of each."""

    def __call__(self, done: int, total: int) -> None:
        if done == total:
            self.append(total)


def check(loaded) -> None:
    (images, labels), _ = loaded
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert not images.flags.writeable
    assert not labels.flags.writeable


def test_the_directory_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RCSWEEP_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == tmp_path / "home" / ".cache" / "rcsweep"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "rcsweep"
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"


def test_a_file_is_decoded_once(cache, path):
    decodings = Decodings()
    for _ in range(3):
        loaded = load_images(path, **EXPECTED, progress=decodings)
        check(loaded)
    assert decodings == [20]
    assert [entry.name for entry in cache.iterdir()] == [loaded[1]]
    base = loaded[0].images
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)


def test_equal_content_under_another_name_shares_the_entry(cache, path, tmp_path):
    load_images(path, **EXPECTED)
    (tmp_path / "b").write_bytes(path.read_bytes())
    decodings = Decodings()
    check(load_images(tmp_path / "b", **EXPECTED, progress=decodings))
    assert decodings == []


def test_changed_content_is_decoded_anew(cache, path):
    load_images(path, **EXPECTED)
    write_images(path, IMAGES[::-1], LABELS[::-1])
    found, _ = load_images(path, **EXPECTED)
    np.testing.assert_array_equal(found.images, IMAGES[::-1])


def truncate(name):
    def damage(entry: Path) -> None:
        data = (entry / name).read_bytes()
        (entry / name).write_bytes(data[: len(data) // 2])

    return damage


def zero_tail(entry: Path) -> None:
    data = (entry / "images.npy").read_bytes()
    (entry / "images.npy").write_bytes(data[:-100] + bytes(100))


def other_format(entry: Path) -> None:
    record = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps(record | {"format": "other"}))


def replace_by_pickle(entry: Path) -> None:
    np.save(entry / "labels.npy", np.array([object()]), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        truncate("images.npy"),
        truncate("labels.npy"),
        truncate("entry.json"),
        zero_tail,
        other_format,
        replace_by_pickle,
        lambda entry: (entry / "images.npy").write_bytes(b""),
        lambda entry: (entry / "entry.json").write_text("[]"),
        lambda entry: (entry / "entry.json").unlink(),
        lambda entry: (entry / "labels.npy").unlink(),
    ],
)
def test_a_damaged_entry_is_rebuilt(cache, path, damage):
    _, sha256 = load_images(path, **EXPECTED)
    damage(cache / sha256)
    decodings = Decodings()
    check(load_images(path, **EXPECTED, progress=decodings))
    check(load_images(path, **EXPECTED, progress=decodings))
    assert decodings == [20]
    assert [entry.name for entry in cache.iterdir()] == [sha256]


def test_arrays_in_use_survive_the_rebuilding_of_their_entry(cache, path):
    first = load_images(path, **EXPECTED)
    (cache / first[1] / "entry.json").unlink()
    load_images(path, **EXPECTED)
    check(first)


def test_the_winner_of_a_race_keeps_its_entry(cache, path, monkeypatch):
    # Another process finishes between our decoding and our rename.
    write_entry = image_cache._write_entry

    def lose(entry, decoded):
        write_entry(entry, decoded)
        (entry / "winner").touch()
        write_entry(entry, decoded)

    monkeypatch.setattr(image_cache, "_write_entry", lose)
    loaded = load_images(path, **EXPECTED)
    check(loaded)
    assert [entry.name for entry in cache.iterdir()] == [loaded[1]]
    assert (cache / loaded[1] / "winner").exists()


def test_two_processes_race(path, tmp_path):
    """Two real processes decode the same file at the same moment, in ten caches one after another."""
    script = """
import hashlib, os, pathlib, sys, time
from tfrecord import example_pb2
from rc_core.image_cache import load_images
root, rank = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for round in range(10):
    os.environ["RCSWEEP_CACHE"] = str(root / str(round))
    (root / f"ready-{round}-{rank}").touch()
    while not (root / f"ready-{round}-{1 - rank}").exists():
        pass
    decoded, _ = load_images(pathlib.Path(sys.argv[3]), expected_num_records=20, expected_shape=(4, 4, 3),
                             num_classes=10)
    print(hashlib.sha256(decoded.images.tobytes() + decoded.labels.tobytes()).hexdigest())
"""
    root = tmp_path / "race"
    root.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, str(root), str(rank), str(path)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    expected = hashlib.sha256(IMAGES.tobytes() + LABELS.tobytes()).hexdigest()
    assert [out.split() for out, _ in results] == [[expected] * 10] * 2
    for number in range(10):
        assert len(list((root / str(number) / "images").iterdir())) == 1


def test_an_unwritable_cache_is_a_warning(path, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be kept in .* set RCSWEEP_CACHE"):
        loaded = load_images(path, **EXPECTED)
    check(loaded)


def test_an_interrupted_decoding_leaves_nothing(cache, path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(path, **EXPECTED, progress=interrupt)
    assert not cache.exists()


def test_an_interrupted_writing_leaves_nothing(cache, path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_images(path, **EXPECTED)
    assert not cache.exists()


def test_the_data_directory_is_only_read(cache, path):
    path.parent.chmod(0o555)
    try:
        before = path.parent.stat().st_mtime_ns
        check(load_images(path, **EXPECTED))
        assert path.parent.stat().st_mtime_ns == before
        assert list(path.parent.iterdir()) == [path]
    finally:
        path.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expected_num_records": 21}, "ends after 20 records, expected 21"),
        ({"expected_shape": (8, 8, 1)}, "the image is 4x4x3, expected 8x8x1"),
        ({"num_classes": 5}, "the label . is outside 0..4"),
    ],
)
def test_a_cached_file_that_is_not_as_expected_is_the_same_error(cache, path, changes, problem):
    for _ in range(2):
        with pytest.raises(TFRecordError, match=problem):
            load_images(path, **EXPECTED | changes)
        load_images(path, **EXPECTED)


def test_a_damaged_file_never_enters_the_cache(cache, path):
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(TFRecordError):
        load_images(path, **EXPECTED)
    assert not cache.exists()
