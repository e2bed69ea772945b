"""Label randomization, exactly as in the released code of Zhou et al. (2019)."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class RandomizedLabels(NamedTuple):
    """Labels as a network is given them.

    Attributes:
        labels: (n,) int64 in [0, num_classes).
        redrawn: (n,) bool, True where the label was drawn anew (it may equal the true one by chance).
    """

    labels: npt.NDArray[np.int64]
    redrawn: npt.NDArray[np.bool_]


def randomize_labels(
    true_labels: npt.NDArray[np.int64],
    randomization: float,
    seed: int,
    *,
    num_classes: int = 10,
    num_file_records: int | None = None,
) -> RandomizedLabels:
    """Redraw each label with probability `randomization`.

    With rng = RandomState(seed), random labels r = rng.randint(K, size=N) and then u = rng.random_sample(N)
    are drawn for the whole file of N records; record i gets r_i where u_i <= p. The redrawn sets are
    therefore nested in p, and a subset of first records has the labels that it has in the whole file.
    Source: Zhou et al. 2019, `cifar_random` of the released code.

    Args:
        true_labels: (n,) labels of the first n records of the file, in file order.
        randomization: p in [0, 1].
        seed: of numpy's RandomState, in [0, 2**32).
        num_classes: K.
        num_file_records: N >= n; None means N = n.

    Raises:
        ValueError: randomization outside [0, 1], or N < n.
    """
    if not 0 <= randomization <= 1:
        raise ValueError(f"randomization = {randomization!r}: must be in [0, 1]")
    num_examples = len(true_labels)
    num_records = num_examples if num_file_records is None else num_file_records
    if num_records < num_examples:
        raise ValueError(f"num_file_records = {num_records}: must be at least len(labels) = {num_examples}")
    rng = np.random.RandomState(seed)
    random_labels = rng.randint(num_classes, size=num_records)[:num_examples]
    uniforms = rng.random_sample(size=num_records)[:num_examples]
    redrawn = uniforms <= randomization
    labels = np.where(redrawn, random_labels, true_labels).astype(np.int64)
    return RandomizedLabels(labels, redrawn)


def labels_sha256(labels: npt.NDArray[np.int64]) -> str:
    """Hex SHA-256 of labels as little-endian int64, in order."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
