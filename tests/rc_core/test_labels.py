import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rc_core.datasets import load_split
from rc_core.labels import labels_sha256, randomize_labels

PROJECT = Path(__file__).parents[2]
NUM_RECORDS = 50_000

seeds = st.integers(0, 2**32 - 1)
probabilities = st.floats(0, 1)
label_vectors = hnp.arrays(np.int64, st.integers(1, 80), elements=st.integers(0, 9))


def true_labels(number: int = NUM_RECORDS) -> np.ndarray:
    return np.arange(number) * 7919 % 10


def by_the_text(labels: np.ndarray, p: float, seed: int, num_classes: int = 10) -> np.ndarray:
    """Record by record, as the experiment is described: random labels first, then the uniforms."""
    rng = np.random.RandomState(seed)
    random_labels = list(rng.randint(num_classes, size=len(labels)))
    uniforms = list(rng.random_sample(size=len(labels)))
    return np.array([r if u <= p else y for y, r, u in zip(labels, random_labels, uniforms, strict=True)])


@pytest.mark.parametrize("seed", [42, 43, 44])
@pytest.mark.parametrize("p", [0, 0.3, 0.5, 0.7, 1])
def test_labels_are_those_of_the_released_code(p, seed):
    labels, redrawn = randomize_labels(true_labels(), p, seed)
    assert labels.dtype == np.int64
    assert redrawn.dtype == np.bool_
    np.testing.assert_array_equal(labels, by_the_text(true_labels(), p, seed))
    # A redrawn label may be the true one by chance: only unequal ones are seen from outside.
    assert redrawn[labels != true_labels()].all()
    # Five standard deviations of a binomial around p and around p (1 - 1/10).
    for fraction, mean in ((redrawn.mean(), p), ((labels != true_labels()).mean(), 0.9 * p)):
        assert abs(fraction - mean) <= 5 * np.sqrt(mean * (1 - mean) / NUM_RECORDS)


def test_the_known_vector():
    labels, redrawn = randomize_labels(true_labels(), 1.0, 42)
    assert labels[:10].tolist() == [6, 3, 7, 4, 6, 9, 2, 6, 7, 4]
    assert redrawn.all()


def test_nothing_changes_without_randomization():
    labels, redrawn = randomize_labels(true_labels(), 0.0, 42)
    np.testing.assert_array_equal(labels, true_labels())
    assert not redrawn.any()


def test_a_few_labels_by_hand():
    # RandomState(0): randint(10, size=5) is 5 0 3 3 7, .random_sample(5) .4237 .6459 .4376 .8918 .9637.
    labels, redrawn = randomize_labels(np.array([1, 1, 1, 1, 1]), 0.65, 0)
    assert redrawn.tolist() == [True, True, True, False, False]
    assert labels.tolist() == [5, 0, 3, 1, 1]


def test_a_record_at_the_edge_is_redrawn():
    rng = np.random.RandomState(5)
    rng.randint(10, size=20)
    uniforms = rng.random_sample(size=20)
    _, redrawn = randomize_labels(np.zeros(20, dtype=np.int64), float(uniforms[3]), 5)
    np.testing.assert_array_equal(redrawn, uniforms <= uniforms[3])
    assert redrawn[3]


@given(label_vectors, probabilities, probabilities, seeds)
def test_redrawn_sets_are_nested_and_share_their_labels(labels, one, other, seed):
    lower, upper = sorted((one, other))
    few, many = (randomize_labels(labels, p, seed) for p in (lower, upper))
    assert (few.redrawn <= many.redrawn).all()
    np.testing.assert_array_equal(few.labels[few.redrawn], many.labels[few.redrawn])


@given(label_vectors, probabilities, seeds, st.data())
def test_a_subset_has_the_labels_of_the_whole_file(labels, p, seed, data):
    number = data.draw(st.integers(0, len(labels)))
    whole = randomize_labels(labels, p, seed)
    some = randomize_labels(labels[:number], p, seed, num_file_records=len(labels))
    np.testing.assert_array_equal(some.labels, whole.labels[:number])
    np.testing.assert_array_equal(some.redrawn, whole.redrawn[:number])


def test_a_subset_of_the_real_length():
    some = randomize_labels(true_labels(1_000), 1.0, 42, num_file_records=NUM_RECORDS)
    assert some.labels[:10].tolist() == [6, 3, 7, 4, 6, 9, 2, 6, 7, 4]
    np.testing.assert_array_equal(some.labels, by_the_text(true_labels(), 1.0, 42)[:1_000])
    # Not the labels of a file that ends there: its uniforms begin after 1,000 random labels, not 50,000.
    assert not np.array_equal(
        randomize_labels(true_labels(1_000), 0.5, 42).redrawn,
        randomize_labels(true_labels(1_000), 0.5, 42, num_file_records=NUM_RECORDS).redrawn,
    )


@given(st.integers(2, 200), st.integers(1, 50), probabilities, seeds)
def test_any_number_of_classes(num_classes, number, p, seed):
    labels = np.arange(number) % num_classes
    given_labels, redrawn = randomize_labels(labels, p, seed, num_classes=num_classes)
    np.testing.assert_array_equal(given_labels, by_the_text(labels, p, seed, num_classes))
    np.testing.assert_array_equal(given_labels[~redrawn], labels[~redrawn])
    assert given_labels.min() >= 0
    assert given_labels.max() < num_classes


@given(label_vectors, probabilities, seeds)
def test_the_function_is_pure(labels, p, seed):
    before = labels.copy()
    np.random.seed(1)
    wanted = np.random.random()
    np.random.seed(1)
    one, other = (randomize_labels(labels, p, seed) for _ in range(2))
    assert np.random.random() == wanted
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert not np.shares_memory(one.labels, labels)


@pytest.mark.parametrize("p", [-0.1, 1.1, 50, float("nan")])
def test_a_randomization_outside_its_range_is_named(p):
    with pytest.raises(ValueError, match=rf"randomization = {p}: must be in \[0, 1\]"):
        randomize_labels(true_labels(5), p, 42)


def test_a_file_shorter_than_its_labels_is_named():
    with pytest.raises(ValueError, match=r"num_file_records = 4: must be at least len\(labels\) = 5"):
        randomize_labels(true_labels(5), 0.5, 42, num_file_records=4)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_outside_numpy_s_range_is_refused(seed):
    with pytest.raises(ValueError, match=r"[Ss]eed"):
        randomize_labels(true_labels(5), 0.5, seed)


def test_the_hash_is_of_little_endian_64_bit_integers():
    wanted = hashlib.sha256(struct.pack("<4q", 6, 3, 7, 255)).hexdigest()
    for kind in (np.int64, np.dtype(">i8"), np.int32, np.uint8):
        assert labels_sha256(np.array([6, 3, 7, 255], dtype=kind)) == wanted
    assert labels_sha256(np.array([6, 0, 3, 0, 7, 0, 255, 0])[::2]) == wanted
    assert labels_sha256(np.array([3, 6, 7, 255])) != wanted


@pytest.fixture(scope="session")
def real_training_labels(tmp_path_factory) -> np.ndarray:
    directory = Path(os.environ.get("RCSWEEP_DATA") or PROJECT.parent / "shared" / "data")
    if not (directory / "cifar10_train.tfrecord").is_file():
        pytest.skip("needs cifar10_train.tfrecord in $RCSWEEP_DATA")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RCSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        return np.array(load_split("cifar10", "train", data_dir=directory).labels)


@pytest.mark.parametrize("seed", [42, 43, 44])
@pytest.mark.parametrize("p", [0, 0.3, 0.5, 0.7, 1])
def test_the_real_training_file(real_training_labels, p, seed):
    assert len(real_training_labels) == NUM_RECORDS
    labels, _ = randomize_labels(real_training_labels, p, seed)
    np.testing.assert_array_equal(labels, by_the_text(real_training_labels, p, seed))
    if (p, seed) == (1, 42):
        assert labels[:10].tolist() == [6, 3, 7, 4, 6, 9, 2, 6, 7, 4]
    if p == 0:
        np.testing.assert_array_equal(labels, real_training_labels)
