"""How much worse a network does on examples that it was not trained on.

Every formula takes numbers or Series of them; NaN stays NaN.
"""

from __future__ import annotations

from typing import TypeVar

import pandas as pd

_Number = TypeVar("_Number", float, "pd.Series[float]")


def noisy_test_error(test_error: _Number, randomization: _Number, num_classes: float) -> _Number:
    """Expected test error were the test labels randomized as the training labels are: (1-p) e + p (1 - 1/K).

    A redrawn label does not depend on the image, so every network meets it with probability 1/K.

    Args:
        test_error: e against the true labels, 0-1.
        randomization: p, 0-1.
        num_classes: K; NaN where it is not known.
    """
    return (1 - randomization) * test_error + randomization * (1 - 1 / num_classes)


def generalization_gap(train_accuracy: _Number, test_error: _Number) -> _Number:
    """Test error minus training error, -1 to 1.

    Args:
        train_accuracy: against the labels trained on, 0-1.
        test_error: 0-1.
    """
    return test_error - (1 - train_accuracy)
