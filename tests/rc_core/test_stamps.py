from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from rc_core.stamps import FileStamp, stamp_files
from rc_core.storage import LocalStorage, open_storage

NS = 10**9


def stamp(path: Path) -> FileStamp:
    (found,) = stamp_files(str(path.parent), [path.name])
    assert found is not None
    return found


def test_stamps_stand_in_the_order_of_the_names_and_missing_files_have_none(tmp_path):
    storage = LocalStorage(tmp_path)
    for number in range(300):  # more than one thread's share
        storage.write(f"cell-{number}/record.json", b"x" * number)
    names = [f"cell-{number}/record.json" for number in (299, 7, 1000, *range(280))]
    stamps = storage.stamps([*names, "cell-3/record.json/below", "cell-3/other.json"])
    sizes = [found and found.size_bytes for found in stamps]
    assert sizes == [299, 7, None, *range(280), None, None]
    assert stamp_files(str(tmp_path / "nowhere"), ["a"]) == [None]
    assert storage.stamps([]) == []


def test_a_stamp_changes_with_the_file_and_not_with_the_folder(tmp_path):
    path = tmp_path / "a" / "record.json"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    os.utime(path, ns=(NS, NS))
    first = stamp(path)
    assert (first.size_bytes, first.modified_ns) == (5, NS)

    moved = tmp_path / "b" / "record.json"
    shutil.move(path.parent, moved.parent)
    assert stamp(moved) == first

    # Another file of the same size and time of change in its place.
    other = tmp_path / "other"
    other.write_bytes(b"54321")
    os.utime(other, ns=(NS, NS))
    os.replace(other, moved)
    assert stamp(moved)._replace(inode=first.inode, changed_ns=first.changed_ns) == first
    assert stamp(moved).inode != first.inode

    # Damaged in place, and its times set back: the time of that stays.
    second = stamp(moved)
    time.sleep(0.02)
    with moved.open("r+b") as file:
        file.write(b"00")
    os.utime(moved, ns=(NS, NS))
    assert stamp(moved)._replace(changed_ns=second.changed_ns) == second
    assert stamp(moved).changed_ns > second.changed_ns


@pytest.mark.parametrize(
    ("modified_seconds", "changed_seconds", "is_settled"),
    [(94.9, 0, True), (95.0, 0, False), (99, 0, False), (200, 0, False), (10, 96, False), (10, 94, True)],
)
def test_a_file_is_settled_when_it_was_left_alone_for_some_seconds(
    modified_seconds, changed_seconds, is_settled
):
    found = FileStamp(5, round(modified_seconds * NS), round(changed_seconds * NS), 1)
    assert found.is_settled(100.0) == is_settled


def test_stamps_in_object_storage_are_alike_one_by_one_and_from_a_listing(s3_uri, s3_server):
    storage = open_storage(s3_uri)
    for number in range(3):
        storage.write(f"cell-{number}/record.json", b"x" * (number + 1))
        storage.write(f"cell-{number}/final/state.safetensors", b"many")
    few = [f"cell-{number}/record.json" for number in (2, 0, 9, 1)]
    many = [*few, *(f"cell-{number}/history.json" for number in range(100))]
    by_request = storage.stamps(few)
    before = len(s3_server.requests())
    by_listing = storage.stamps(many)
    assert len(s3_server.requests()) - before == 1
    assert by_listing == [*by_request, *[None] * 100]
    assert [found and found.size_bytes for found in by_request] == [3, 1, None, 2]
    assert all(abs(found.modified_ns / NS - time.time()) < 60 for found in by_request if found)
    storage.write("cell-0/record.json", b"xyz")
    assert storage.stamps(few)[1].size_bytes == 3
    assert open_storage(f"{s3_uri}/nowhere").stamps(many) == [None] * len(many)
