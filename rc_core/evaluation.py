"""Measuring a network: predictions over a whole split, and the accuracies that the experiment reports."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from rc_core.examples import Examples
from rc_core.labels import RandomizedLabels

# Any size gives the same figures up to rounding of the loss; this one keeps activations small everywhere.
EVALUATION_BATCH_SIZE = 500


class Predictions(NamedTuple):
    """Outcome of `predict`.

    Attributes:
        classes: (n,) int64, argmax of the logits.
        mean_loss: mean softmax cross-entropy in nats against the labels given.
    """

    classes: npt.NDArray[np.int64]
    mean_loss: float


@torch.inference_mode()
def predict(model: nn.Module, examples: Examples) -> Predictions:
    """Classify every example with the running batch-norm statistics; the model's mode is restored."""
    was_training = model.training
    model.eval()
    dtype = next(model.parameters()).dtype
    classes, losses = [], []
    for indices in torch.arange(len(examples), device=examples.labels.device).split(EVALUATION_BATCH_SIZE):
        images, labels = examples.batch(indices, dtype)
        logits = model(images)
        classes.append(logits.argmax(dim=1))
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
    model.train(was_training)
    total_loss = float(torch.stack(losses).double().sum())
    return Predictions(torch.cat(classes).cpu().numpy(), total_loss / len(examples))


def accuracy(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float | None:
    """Fraction of equal entries, or None for no examples."""
    return float(np.mean(predicted == labels)) if len(labels) else None


def accuracies_by_label_kind(
    predicted: npt.NDArray[np.int64], given: RandomizedLabels, true_labels: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    """Training accuracy as a whole, and apart for kept and redrawn labels.

    Args:
        predicted: (n,) predicted classes.
        given: labels as trained on.
        true_labels: (n,) labels before randomization.

    Returns:
        `train_accuracy` against the given labels; `accuracy_kept` and `accuracy_redrawn`, the same over
        examples whose label was kept or redrawn; `accuracy_true`, over redrawn examples against the true
        label. None where there are no such examples.
    """
    redrawn = given.redrawn
    return {
        "train_accuracy": accuracy(predicted, given.labels),
        "accuracy_kept": accuracy(predicted[~redrawn], given.labels[~redrawn]),
        "accuracy_redrawn": accuracy(predicted[redrawn], given.labels[redrawn]),
        "accuracy_true": accuracy(predicted[redrawn], true_labels[redrawn]),
    }
