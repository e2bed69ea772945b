"""The published numbers that the recipe `paper` repeats."""

from __future__ import annotations

RECIPE = "paper"
SOURCE = (
    "Zhou, Veitch, Austern, Adams, Orbanz: Non-vacuous generalization bounds at the ImageNet scale, "
    "ICLR 2019 (arXiv 1804.05862); table in the README of the released code, "
    "wendazhou/nnet-compression-generalization, scripts/randomization-cifar"
)
NUM_SEEDS = 1

# Training accuracy of the pruned ResNet-56 on CIFAR-10 by randomization and target sparsity; one run.
TRAIN_ACCURACY: dict[float, dict[float, float]] = {
    0.0: {0.5: 1.0, 0.6: 1.0, 0.7: 1.0, 0.8: 1.0, 0.9: 0.97896},
    0.3: {0.5: 1.0, 0.6: 1.0, 0.7: 0.97798, 0.8: 0.69102, 0.9: 0.62264},
    0.5: {0.5: 1.0, 0.6: 0.99968, 0.7: 0.92822, 0.8: 0.60466, 0.9: 0.4194},
    0.7: {0.5: 1.0, 0.6: 0.9952, 0.7: 0.87842, 0.8: 0.64598, 0.9: 0.27864},
    1.0: {0.5: 0.99962, 0.6: 0.98822, 0.7: 0.8876, 0.8: 0.67422, 0.9: 0.2077},
}
