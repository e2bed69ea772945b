"""One seed, several named and separate random streams.

Every stream is a pure function of (seed, name), drawn as a whole before the first step, so a position in it
is just the step: a resumed run needs no generator state, and two cells of one seed see the same batches
whatever their randomization and sparsity (paired comparisons with common random numbers).

Labels are the exception by specification: they come from `numpy.random.RandomState(seed)`, see labels.py.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt


def stream(seed: int, name: str) -> np.random.Generator:
    """Generator of one named stream, e.g. `init`, `order/train`, `masks`.

    Args:
        seed: the cell's seed, >= 0.
        name: the stream's name; different names give independent streams.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def batch_order(
    seed: int, phase: str, *, num_examples: int, batch_size: int, num_steps: int
) -> npt.NDArray[np.int64]:
    """Which examples each step sees: every epoch is one shuffle, and batches run on across epochs.

    Args:
        seed: the cell's seed.
        phase: `train` or `prune`; each has its own stream.
        num_examples: n > 0.
        batch_size: examples a step; may exceed n.
        num_steps: rows of the result.

    Returns:
        (num_steps, batch_size) int64, values in [0, n); rows read one after another are whole permutations.
    """
    generator = stream(seed, f"order/{phase}")
    num_draws = num_steps * batch_size
    num_epochs = -(-num_draws // num_examples)
    epochs = [generator.permutation(num_examples) for _ in range(num_epochs)]
    return np.concatenate(epochs)[:num_draws].reshape(num_steps, batch_size)


def mask_coins(seed: int, *, num_steps: int, num_kernels: int) -> npt.NDArray[np.float64]:
    """Uniform numbers that decide whether a kernel's mask is updated after a step.

    Returns:
        (num_steps, num_kernels) float64 in [0, 1).
    """
    return stream(seed, "masks").random((num_steps, num_kernels))
