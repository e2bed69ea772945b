import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rc_core import datasets
from rc_core.datasets import average_blocks, load_split, prepare_digits, verify
from rc_core.tfrecords import TFRecordError, count_classes, write_images

PROJECT = Path(__file__).parents[2]
# Read before the fixture below clears the variable.
REAL_DATA = Path(os.environ.get("RCSWEEP_DATA", PROJECT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """An own cache, an empty working directory and no data directory in the environment."""
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RCSWEEP_DATA", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("digits")
    assert prepare_digits(directory) == [
        directory / "digits_train.tfrecord",
        directory / "digits_test.tfrecord",
    ]
    assert len(list(directory.iterdir())) == 2
    return directory


# The digits


def test_digits_are_those_of_scikit_learn(digits_dir):
    from sklearn.datasets import load_digits

    source = load_digits()
    train = load_split("digits", "train", data_dir=digits_dir)
    test = load_split("digits", "test", data_dir=digits_dir)
    images = np.concatenate([train.images, test.images])
    assert train.images.shape == (1000, 8, 8, 1)
    assert (train.num_file_records, test.num_file_records) == (1000, 797)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), source.target)
    # 255 / 16 = 15.94 apart: half a step of rounding cannot hide a wrong intensity
    assert np.abs(images[..., 0] - source.images * 255 / 16).max() <= 0.5
    assert np.unique(images).tolist() == [
        *(0, 16, 32, 48, 64, 80, 96, 112, 128),
        *(143, 159, 175, 191, 207, 223, 239, 255),
    ]


def test_digits_have_the_same_bytes_wherever_they_are_prepared(digits_dir):
    # Nothing in the files depends on the zlib in use: stored PNG streams, sorted features.
    script = "import sys; from rc_core.datasets import prepare_digits; prepare_digits(sys.argv[1])"
    other = digits_dir.parent / "digits-again"
    subprocess.run([sys.executable, "-c", script, str(other)], check=True, cwd=PROJECT)
    for name in ("digits_train.tfrecord", "digits_test.tfrecord"):
        assert (other / name).read_bytes() == (digits_dir / name).read_bytes()


def test_digits_need_no_preparation(tmp_path, digits_dir):
    split = load_split("digits", "train", num_examples=5)
    assert split.sha256 == load_split("digits", "train", data_dir=digits_dir).sha256
    made = tmp_path / "cache" / "digits"
    assert sorted(path.name for path in made.iterdir()) == ["digits_test.tfrecord", "digits_train.tfrecord"]
    # A damaged copy is ours to repair.
    path = made / "digits_train.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    assert load_split("digits", "train", num_examples=5).sha256 == split.sha256


def test_digits_in_the_data_directory_come_first(tmp_path, digits_dir, monkeypatch):
    os.symlink(digits_dir, tmp_path / "cwd" / "data")
    load_split("digits", "train")
    assert not (tmp_path / "cache" / "digits").exists()


def test_digits_are_made_where_the_data_directory_has_only_others(tmp_path, monkeypatch):
    monkeypatch.setenv("RCSWEEP_DATA", str(tmp_path / "cwd"))
    assert load_split("digits", "test").images.shape == (797, 8, 8, 1)


def test_digits_without_a_writable_cache(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="set RCSWEEP_CACHE to a directory that you may write"):
        load_split("digits", "train")


def test_digits_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rcsweep\[digits\]'"):
        prepare_digits(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Finding and cutting


def test_the_first_examples_in_file_order(digits_dir):
    whole = load_split("digits", "train", data_dir=digits_dir)
    some = load_split("digits", "train", data_dir=digits_dir, num_examples=7)
    np.testing.assert_array_equal(some.images, whole.images[:7])
    np.testing.assert_array_equal(some.labels, whole.labels[:7])
    assert (some.num_file_records, some.sha256) == (1000, whole.sha256)


@pytest.mark.parametrize("num_examples", [0, -1, 1001])
def test_num_examples_out_of_range(digits_dir, num_examples):
    with pytest.raises(ValueError, match=rf"num_examples must be in 1\.\.1000 .*, got {num_examples}"):
        load_split("digits", "train", data_dir=digits_dir, num_examples=num_examples)


@pytest.mark.parametrize("image_size", [1, 2, 4, 8])
def test_image_size_averages(digits_dir, image_size):
    images = load_split("digits", "test", data_dir=digits_dir).images
    found = load_split("digits", "test", data_dir=digits_dir, image_size=image_size).images
    factor = 8 // image_size
    means = images.reshape(797, image_size, factor, image_size, factor, 1).astype(float).mean((2, 4))
    np.testing.assert_array_equal(found, np.floor(means + 0.5))
    assert found.dtype == np.uint8
    assert not found.flags.writeable


@pytest.mark.parametrize("image_size", [0, 3, 16, -8])
def test_image_size_that_does_not_divide(digits_dir, image_size):
    with pytest.raises(ValueError, match=rf"must be one of \[1, 2, 4, 8\] for digits, got {image_size}"):
        load_split("digits", "test", data_dir=digits_dir, image_size=image_size)


def test_average_blocks_by_hand():
    image = np.array([[0, 1, 10, 20], [0, 1, 30, 41], [255, 255, 0, 0], [255, 255, 0, 1]], dtype=np.uint8)
    # means 0.5, 25.25, 255, 0.25
    assert average_blocks(image[None, :, :, None], 2)[0, :, :, 0].tolist() == [[1, 25], [255, 0]]
    with pytest.raises(ValueError, match=r"factor must divide height and width \(4, 4\), got 3"):
        average_blocks(image[None, :, :, None], 3)


@settings(deadline=None)
@given(st.integers(1, 4), st.data())
def test_average_blocks_against_whole_numbers(factor, data):
    images = data.draw(hnp.arrays(np.uint8, (2, 2 * factor, 3 * factor, 3)))
    found = average_blocks(images, factor)
    for (n, row, column, channel), value in np.ndenumerate(found):
        block = images[n, row * factor :, column * factor :, channel][:factor, :factor]
        assert abs(int(block.astype(int).sum()) - int(value) * factor**2) * 2 <= factor**2


def test_a_missing_file_says_what_to_run(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="rcsweep data prepare cifar10 --out data'") as caught:
        load_split("cifar10", "train")
    assert "cifar10_train.tfrecord is not in data" in str(caught.value)
    monkeypatch.setenv("RCSWEEP_DATA", str(tmp_path / "env"))
    with pytest.raises(FileNotFoundError, match=f"--out {tmp_path / 'env'}'"):
        load_split("cifar10", "test")
    with pytest.raises(FileNotFoundError, match="rcsweep data prepare digits --out elsewhere'"):
        load_split("digits", "test", data_dir="elsewhere")


def test_unknown_names_and_splits(digits_dir):
    with pytest.raises(ValueError, match="unknown data set 'mnist'"):
        load_split("mnist", "train")
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
        load_split("digits", "valid", data_dir=digits_dir)  # type: ignore[arg-type]


def test_a_file_with_another_content_is_refused(tmp_path):
    write_images(tmp_path / "digits_train.tfrecord", np.zeros((1000, 4, 4, 1), np.uint8), np.zeros(1000, int))
    with pytest.raises(TFRecordError, match="record 0 at byte 0: the image is 4x4x1, expected 8x8x1"):
        load_split("digits", "train", data_dir=tmp_path)
    write_images(tmp_path / "digits_train.tfrecord", np.zeros((999, 8, 8, 1), np.uint8), np.zeros(999, int))
    with pytest.raises(
        TFRecordError, match=r"record 999 at byte \d+: .* ends after 999 records, expected 1000"
    ):
        load_split("digits", "train", data_dir=tmp_path)


# Verification


def test_verify_knows_the_count_by_name(tmp_path, digits_dir):
    found = verify(digits_dir / "digits_test.tfrecord")
    assert found[1:5] == (797, 8, 8, 1)
    assert sum(found.class_counts) == 797
    write_images(tmp_path / "digits_test.tfrecord", np.zeros((5, 8, 8, 1), np.uint8), np.zeros(5, int))
    with pytest.raises(TFRecordError, match="ends after 5 records, expected 797"):
        verify(tmp_path / "digits_test.tfrecord")
    os.rename(tmp_path / "digits_test.tfrecord", tmp_path / "unknown.tfrecord")
    assert verify(tmp_path / "unknown.tfrecord").num_records == 5


def test_verify_knows_the_count_by_a_manifest(tmp_path):
    from PIL import Image

    for split in ("train", "test"):
        for label in range(12):
            directory = tmp_path / "in" / split / f"{label:02}"
            directory.mkdir(parents=True)
            Image.fromarray(np.full((2, 2), label, np.uint8)).save(directory / "a.png")
    train, *_ = datasets.prepare_folder(tmp_path / "in", tmp_path / "out", name="twelve")
    assert verify(train).class_counts == (1,) * 12
    write_images(train, np.zeros((5, 2, 2, 1), np.uint8), np.zeros(5, int))
    with pytest.raises(TFRecordError, match="ends after 5 records, expected 12"):
        verify(train)


# The real CIFAR-10


def test_the_real_training_split(monkeypatch):
    directory = REAL_DATA
    if not (directory / "cifar10_train.tfrecord").is_file():
        pytest.skip("needs cifar10_train.tfrecord in RCSWEEP_DATA")
    calls: list[tuple[int, int]] = []
    monkeypatch.setenv("RCSWEEP_DATA", str(directory))
    split = load_split("cifar10", "train", progress=lambda *call: calls.append(call))
    assert split.images.shape == (50_000, 32, 32, 3)
    assert count_classes(split.labels, 10) == (5000,) * 10
    assert split.num_file_records == 50_000
    assert calls[-1] == (50_000, 50_000)
    some = load_split("cifar10", "train", num_examples=1000, image_size=8, progress=pytest.fail)
    assert some.images.shape == (1000, 8, 8, 3)
    assert (some.num_file_records, some.sha256) == (50_000, split.sha256)
    # mean colour of the training images, as everybody's normalization constants have it
    means = split.images.reshape(-1, 3).mean(axis=0) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)
