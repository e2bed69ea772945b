"""Curves of a run, by column, filled from sums that stay on the device between log points."""

from __future__ import annotations

import torch
from torch import Tensor

NUM_LOG_POINTS = 50


class DivergenceError(RuntimeError):
    """The loss is no longer finite."""


class Window:
    """Sums of loss and correct predictions since the last log point, for K networks.

    Attributes:
        sums: (K, 3) float64: loss times examples, correct predictions, examples.
    """

    def __init__(self, device: torch.device, num_networks: int = 1) -> None:
        self.sums = torch.zeros(num_networks, 3, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one batch: mean losses (K,), logits (K, B, classes) and labels (K, B)."""
        num_correct = (logits.argmax(dim=2) == labels).sum(dim=1)
        batch_size = labels.shape[1]
        self.sums[:, 0] += loss.double() * batch_size
        self.sums[:, 1] += num_correct
        self.sums[:, 2] += batch_size

    def flush(self) -> list[dict[str, float]]:
        """Means since the last flush, one dictionary a network, then start anew."""
        means = [
            {"train_loss": loss_sum / num_examples, "train_accuracy": num_correct / num_examples}
            for loss_sum, num_correct, num_examples in self.sums.tolist()
        ]
        self.sums.zero_()
        return means


class History:
    """Columns of equal length, one entry a log point."""

    def __init__(self, columns: dict[str, list[float]] | None = None) -> None:
        self.columns: dict[str, list[float]] = columns or {}

    def append(self, **values: float) -> None:
        """Add one entry; the first fixes the columns."""
        if self.columns and self.columns.keys() != values.keys():
            raise ValueError(f"columns {sorted(values)}: must be {sorted(self.columns)}")
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)


def log_due(completed: int, num_steps: int) -> bool:
    """Whether a log point follows this step: `NUM_LOG_POINTS` in a run, the last step among them."""
    points = min(NUM_LOG_POINTS, num_steps)
    return points * completed // num_steps != points * (completed - 1) // num_steps
