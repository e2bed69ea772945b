"""Curves of a run, by column, filled from sums that stay on the device between log points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NUM_LOG_POINTS = 50


class DivergenceError(RuntimeError):
    """The loss is no longer finite."""


class Window:
    """Sums of loss and correct predictions since the last log point.

    Attributes:
        sums: (3,) float64: loss times examples, correct predictions, examples.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one batch: its mean loss (scalar), logits (B, K) and labels (B,)."""
        self.sums[0] += loss.double() * len(labels)
        self.sums[1] += (logits.argmax(dim=1) == labels).sum()
        self.sums[2] += len(labels)

    def flush(self, step: int) -> dict[str, float]:
        """Means since the last flush, then start anew.

        Raises:
            DivergenceError: the loss is not finite.
        """
        loss_sum, num_correct, num_examples = self.sums.tolist()
        if not math.isfinite(loss_sum):
            raise DivergenceError(
                f"training diverged: the loss is {loss_sum} at or shortly before step {step}; "
                "lower the learning rate or change the seed"
            )
        self.sums.zero_()
        return {"train_loss": loss_sum / num_examples, "train_accuracy": num_correct / num_examples}


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
