import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from rc_core.object_storage import ArrowStorage, ObjectStore, is_outage
from rc_core.outages import Outages
from rc_core.storage import LocalStorage, Storage, open_storage

PROJECT = Path(__file__).parents[2]


def memory_storage() -> ArrowStorage:
    """An object store that is not S3: files by their whole name, folders only as a manner of speaking."""
    from fsspec.implementations.memory import MemoryFileSystem
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    path = f"bucket-{uuid.uuid4().hex}/prefix"
    filesystem = PyFileSystem(FSSpecHandler(MemoryFileSystem()))
    store = ObjectStore("memory", filesystem, Outages("memory", 0, is_outage))
    return ArrowStorage(f"memory://{path}", store, path)


# One contract for every kind of storage


@pytest.fixture(params=["path", "file-uri", "memory", "s3"])
def storage(request, tmp_path) -> Storage:
    """A folder that does not exist yet."""
    if request.param == "path":
        return open_storage(tmp_path / "experiment")
    if request.param == "file-uri":
        return open_storage(f"file://{tmp_path}/experiment")
    if request.param == "memory":
        return memory_storage()
    return open_storage(request.getfixturevalue("s3_uri"))


@pytest.mark.parametrize("content", [b"", b"text\n", bytes(range(256)) * 10_000])
def test_what_is_written_is_read(storage, content):
    storage.write("a.json", content)
    assert storage.read("a.json") == content
    storage.write("a.json", b"shorter")
    assert storage.read("a.json") == b"shorter"


def test_names_have_parts_and_folders_are_made_when_needed(storage):
    storage.write("cell/final/a", b"1")
    cell = storage.folder("cell")
    cell.write("b", b"2")
    assert cell.folder("final").read("a") == cell.read("final/a") == storage.read("cell/final/a") == b"1"
    assert storage.read("cell/b") == b"2"


def test_a_folder_is_not_made_by_naming_it(storage):
    storage.write("a", b"1")
    storage.folder("cell").folder("final")
    assert storage.names() == ["a"]


def test_names_are_the_direct_children_in_order(storage):
    for name in ("b", "a-file", "train-p0.50-s42/record.json", "train-p0.50-s42/final/x", "Z"):
        storage.write(name, b"1")
    assert storage.names() == ["Z", "a-file", "b", "train-p0.50-s42"]
    assert storage.folder("train-p0.50-s42").names() == ["final", "record.json"]


def test_hidden_names_are_left_out_but_can_be_read(storage):
    storage.write(".partial", b"1")
    storage.write("a", b"2")
    assert storage.names() == ["a"]
    assert storage.read(".partial") == b"1"


def test_what_is_missing_has_no_names_and_no_content(storage):
    assert storage.names() == []
    assert storage.folder("nowhere").folder("deeper").names() == []
    storage.write("file", b"1")
    assert storage.folder("file").names() == []
    for name in ("nothing", "no/thing"):
        with pytest.raises(FileNotFoundError):
            storage.read(name)
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        storage.read("file/below")


def test_files_and_folders_are_deleted_with_all_that_is_in_them(storage):
    for name in ("cell/final/a", "cell/b", "cell-2/b", "cell.txt"):
        storage.write(name, b"1")
    storage.delete("cell.txt")
    storage.delete("cell/b")
    assert storage.names() == ["cell", "cell-2"]
    storage.delete("cell")
    assert storage.names() == ["cell-2"]
    with pytest.raises(FileNotFoundError):
        storage.read("cell/final/a")


def test_a_folder_is_deleted_after_its_last_file_was(storage):
    storage.write("cell/final/a", b"1")
    storage.delete("cell/final/a")
    assert storage.folder("cell/final").names() == []
    storage.delete("cell")
    assert storage.names() == []


def test_deleting_what_is_missing_is_no_error(storage):
    storage.delete("nothing")
    storage.write("file", b"1")
    for name in ("nothing", "no/thing", "file/below"):
        storage.delete(name)
    assert storage.read("file") == b"1"


def test_a_child_s_location_is_below_its_parent_s(storage):
    assert storage.folder("cell").folder("final").location == f"{storage.location}/cell/final"
    assert not storage.location.endswith("/")


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_location_opens_the_same_folder_from_anywhere(tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    storage = open_storage(f"{prefix}{tmp_path}/sweep" if prefix else "sweep")
    storage.folder("cell").write("a", b"1")
    location = storage.folder("cell").location
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert open_storage(location).read("a") == b"1"
    assert (tmp_path / "sweep" / "cell" / "a").read_bytes() == b"1"


# What only a local folder has to take care of


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_reader_beside_a_writer_sees_whole_contents(tmp_path, prefix):
    storage = open_storage(f"{prefix}{tmp_path}")
    contents = [bytes([value]) * 300_000 for value in range(1, 5)]
    storage.write("a", contents[0])
    seen, stop = set(), threading.Event()

    def write() -> None:
        for turn in range(40):
            storage.write("a", contents[turn % 4])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        seen.add(storage.read("a"))
    writer.join()
    assert seen <= set(contents)
    assert storage.read("a") == contents[39 % 4]


def test_another_process_never_sees_a_part(tmp_path):
    # One process replaces a file of a megabyte over and over, this one reads it all the time.
    script = (
        "import sys, pathlib\n"
        "from rc_core.storage import LocalStorage\n"
        "folder = LocalStorage(pathlib.Path(sys.argv[1]))\n"
        "for turn in range(150):\n"
        "    folder.write('a', bytes([65 + turn % 26]) * (1_000_000 + turn % 7))\n"
    )
    folder = LocalStorage(tmp_path)
    folder.write("a", b"A" * 1_000_000)
    seen = []
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT) as process:
        while process.poll() is None:
            content = folder.read("a")
            seen.append((content[:1], len(content), content.count(content[:1])))
    assert process.returncode == 0
    assert all(length >= 1_000_000 and equal == length for _, length, equal in seen)
    assert len({first for first, _, _ in seen}) > 3  # the race took place
    assert os.listdir(tmp_path) == ["a"]


def test_writers_may_race_for_a_file(tmp_path):
    contents = [bytes([value]) * 200_000 for value in range(8)]

    def write(content: bytes) -> None:
        for _ in range(10):
            LocalStorage(tmp_path / "new").write("a", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "new" / "a").read_bytes() in contents
    assert os.listdir(tmp_path / "new") == ["a"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, function, error):
    folder = LocalStorage(tmp_path)
    folder.write("a", b"old")

    def fail(*args: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(type(error)):
            folder.write("a", b"new")
        with pytest.raises(type(error)):
            folder.write("b", b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert folder.read("a") == b"old"


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def record(*args: object, name: str = name, original=original) -> None:
            calls.append(name)
            original(*args)

        monkeypatch.setattr(os, name, record)
    LocalStorage(tmp_path).write("a", b"content")
    assert calls[:2] == ["fsync", "replace"]


def test_a_temporary_file_is_hidden_and_in_the_same_folder(tmp_path, monkeypatch):
    # Elsewhere the last step would be a copy, not a rename.
    folder, seen = LocalStorage(tmp_path / "cell"), []
    original = os.replace

    def record(source: str, target: str) -> None:
        seen.append((Path(source).parent, folder.names()))
        original(source, target)

    monkeypatch.setattr(os, "replace", record)
    folder.write("a", b"1")
    assert seen == [(tmp_path / "cell", [])]


def test_other_users_may_read_the_files(tmp_path):
    LocalStorage(tmp_path).write("a", b"1")
    assert (tmp_path / "a").stat().st_mode & 0o044 == 0o044


# Opening


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_storage("~/sweep").write("a", b"1")
    assert (tmp_path / "sweep" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("location", ["ftp3://host/x", "s4://bucket"])
def test_a_uri_that_cannot_be_read_is_named(location):
    with pytest.raises(ValueError, match=f"storage = '{location}': .*expected a path or s3://bucket/prefix"):
        open_storage(location)


def test_without_pyarrow_a_uri_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    with pytest.raises(ModuleNotFoundError, match=r"s3://bucket: .* pip install 'rcsweep"):
        open_storage("s3://bucket")
    open_storage(str(tmp_path)).write("a", b"1")  # a path needs none
