import json
from dataclasses import asdict, replace

import pytest

from rc_core.dataset_info import (
    CIFAR10,
    DIGITS,
    dataset_info,
    find_info,
    manifest_path,
    read_manifest,
    write_manifest,
)

SHAPES = replace(
    DIGITS,
    name="shapes",
    train_file="shapes_train.tfrecord",
    test_file="shapes_test.tfrecord",
    num_classes=2,
    class_names=("circle", "größe"),
)


def test_known_data_sets():
    assert dataset_info("cifar10") is CIFAR10
    assert (CIFAR10.num_train, CIFAR10.num_test, CIFAR10.shape) == (50_000, 10_000, (32, 32, 3))
    assert (CIFAR10.train_file, CIFAR10.test_file) == ("cifar10_train.tfrecord", "cifar10_test.tfrecord")
    assert dataset_info("digits") is DIGITS
    assert (DIGITS.num_train, DIGITS.num_test, DIGITS.shape) == (1000, 797, (8, 8, 1))
    assert CIFAR10.num_classes == DIGITS.num_classes == 10
    assert CIFAR10.class_names == tuple(sorted(CIFAR10.class_names))


def test_splits():
    assert (CIFAR10.split_file("train"), CIFAR10.num_records("train")) == ("cifar10_train.tfrecord", 50_000)
    assert (CIFAR10.split_file("test"), CIFAR10.num_records("test")) == ("cifar10_test.tfrecord", 10_000)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
        CIFAR10.num_records("valid")


def test_a_manifest_is_read_back(tmp_path, monkeypatch):
    path = manifest_path(tmp_path, "shapes")
    write_manifest(path, SHAPES)
    assert path.name == "shapes.dataset.json"
    assert read_manifest(path) == SHAPES
    assert dataset_info("shapes", tmp_path) == SHAPES
    monkeypatch.setenv("RCSWEEP_DATA", str(tmp_path))
    assert dataset_info("shapes") == SHAPES


def test_the_default_directory_is_data(tmp_path, monkeypatch):
    monkeypatch.delenv("RCSWEEP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_manifest(manifest_path(tmp_path / "data", "shapes"), SHAPES)
    assert dataset_info("shapes") == SHAPES


@pytest.mark.parametrize("name", ["cifar100", "", "../secret", "a/b"])
def test_an_unknown_name_says_what_to_do(tmp_path, name):
    with pytest.raises(ValueError, match="known are cifar10, digits") as caught:
        dataset_info(name, tmp_path)
    assert repr(name) in str(caught.value)
    assert f"rcsweep data prepare folder --source DIR --out {tmp_path}" in str(caught.value)


def test_the_data_set_of_a_file(tmp_path):
    assert find_info(tmp_path / "cifar10_test.tfrecord") is CIFAR10
    assert find_info(tmp_path / "shapes_test.tfrecord") is None
    write_manifest(manifest_path(tmp_path, "shapes"), SHAPES)
    assert find_info(tmp_path / "shapes_test.tfrecord") == SHAPES


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "../a", "name must be letters"),
        ("train_file", "/etc/passwd", "train_file must be letters"),
        ("test_file", 3, "test_file must be letters"),
        ("test_file", "shapes_train.tfrecord", "must differ"),
        ("num_train", 0, "num_train must be an integer >= 1, got 0"),
        ("num_test", True, "num_test must be an integer >= 1, got True"),
        ("num_classes", 1, "num_classes must be an integer >= 2, got 1"),
        ("height", 8.0, "height must be an integer"),
        ("channels", 4, "channels must be 1 or 3, got 4"),
        ("class_names", ["a"], "class_names must be 2 names or none, got 1"),
        ("class_names", "ab", "class_names must be a list of strings"),
    ],
)
def test_a_damaged_manifest_names_file_and_field(tmp_path, field, value, message):
    path = tmp_path / "shapes.dataset.json"
    path.write_text(json.dumps(asdict(SHAPES) | {field: value}))
    with pytest.raises(ValueError, match=message) as caught:
        dataset_info("shapes", tmp_path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"name": "shapes"}', b"null"])
def test_something_else_than_a_manifest(tmp_path, content):
    path = tmp_path / "shapes.dataset.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="make the data set again"):
        read_manifest(path)
