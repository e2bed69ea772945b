import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.seeding import batch_order, mask_coins, stream

PROJECT = Path(__file__).parents[2]
NAMES = ("init", "order/train", "order/prune", "masks")


def test_equal_arguments_give_equal_streams():
    for name in NAMES:
        np.testing.assert_array_equal(stream(42, name).random(50), stream(42, name).random(50))
    one, other = (batch_order(42, "train", num_examples=20, batch_size=7, num_steps=9) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        mask_coins(42, num_steps=5, num_kernels=3), mask_coins(42, num_steps=5, num_kernels=3)
    )


def test_streams_of_other_names_and_seeds_are_independent():
    draws = np.stack([stream(seed, name).random(20_000) for seed in (0, 1, 42, 43) for name in NAMES])
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)
    np.testing.assert_allclose(draws.mean(axis=1), 0.5, atol=5 * np.sqrt(1 / 12 / 20_000))
    assert np.unique(draws).size == draws.size


def test_one_stream_does_not_move_another_nor_numpy_s_own():
    np.random.seed(7)
    wanted_global = np.random.random(3)
    wanted = stream(42, "masks").random(3)
    np.random.seed(7)
    first = stream(42, "masks")
    stream(42, "init").random(100)
    batch_order(42, "train", num_examples=10, batch_size=4, num_steps=4)
    np.testing.assert_array_equal(first.random(3), wanted)
    np.testing.assert_array_equal(np.random.random(3), wanted_global)


def test_streams_are_frozen():
    # A checkpoint holds no generator state: other numbers here would let a resumed run see other batches.
    assert stream(42, "init").integers(2**63) == 3371280260519657316
    for phase, batches in (
        ("train", [[3, 5, 7, 9, 2], [4, 8, 6, 1, 0]]),
        ("prune", [[1, 9, 0, 7, 6], [8, 5, 4, 2, 3]]),
    ):
        assert batch_order(42, phase, num_examples=10, batch_size=5, num_steps=2).tolist() == batches
    coins = mask_coins(42, num_steps=1, num_kernels=3)[0]
    np.testing.assert_allclose(
        coins, [0.4493339752299057, 0.0608130213205722, 0.3853055237090017], rtol=1e-14
    )


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_streams_do_not_depend_on_the_process(hash_seed):
    script = (
        "from rc_core.seeding import batch_order\n"
        "print(batch_order(3, 'train', num_examples=9, batch_size=9, num_steps=1)[0].tolist())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    here = batch_order(3, "train", num_examples=9, batch_size=9, num_steps=1)[0].tolist()
    assert result.stdout.strip() == str(here)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 150), st.integers(1, 20))
def test_every_epoch_is_a_whole_permutation(seed, num_examples, batch_size, num_steps):
    order = batch_order(seed, "train", num_examples=num_examples, batch_size=batch_size, num_steps=num_steps)
    assert order.shape == (num_steps, batch_size)
    assert order.dtype == np.int64
    drawn = order.ravel().tolist()  # across batches: a batch may end in one epoch and begin in the next
    num_whole = len(drawn) // num_examples
    for epoch in range(num_whole):
        assert sorted(drawn[epoch * num_examples : (epoch + 1) * num_examples]) == list(range(num_examples))
    rest = drawn[num_whole * num_examples :]
    assert len(set(rest)) == len(rest)
    assert set(rest) <= set(range(num_examples))


def test_batches_run_on_across_epochs():
    order = batch_order(42, "train", num_examples=5, batch_size=3, num_steps=5)
    flat = order.ravel()
    for epoch in range(3):
        assert sorted(flat[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]


def test_a_batch_larger_than_the_data_repeats_whole_epochs():
    order = batch_order(42, "train", num_examples=3, batch_size=9, num_steps=2)
    for row in order:
        assert np.bincount(row).tolist() == [3, 3, 3]


def test_every_epoch_is_shuffled_anew_and_evenly():
    order = batch_order(42, "train", num_examples=10, batch_size=10, num_steps=4_000)
    assert len({tuple(row) for row in order.tolist()}) > 3_990
    # How often example e stands at place k: 400 of 4,000, standard deviation sqrt(4000 * .1 * .9) = 19.
    counts = np.stack([np.bincount(order[:, place], minlength=10) for place in range(10)])
    assert np.abs(counts - 400).max() < 5 * 19


def test_phases_and_seeds_have_their_own_order():
    orders = [
        batch_order(seed, phase, num_examples=1_000, batch_size=1_000, num_steps=1)[0]
        for seed in (42, 43)
        for phase in ("train", "prune")
    ]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).sum() < 10  # one in the mean


def test_mask_coins_are_uniform_and_independent():
    coins = mask_coins(42, num_steps=5_000, num_kernels=8)
    assert coins.shape == (5_000, 8)
    assert coins.dtype == np.float64
    assert coins.min() >= 0
    assert coins.max() < 1
    np.testing.assert_allclose(coins.mean(axis=0), 0.5, atol=5 * np.sqrt(1 / 12 / 5_000))
    np.testing.assert_allclose(coins.var(axis=0), 1 / 12, atol=0.005)
    assert np.abs(np.corrcoef(coins.T) - np.eye(8)).max() < 5 / np.sqrt(5_000)
    assert np.abs(np.corrcoef(coins[:-1, 0], coins[1:, 0])[0, 1]) < 5 / np.sqrt(5_000)
