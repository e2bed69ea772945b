"""How many trials a GPU can hold."""

from __future__ import annotations

import torch

from rc_core.datasets import Split
from rc_core.device_memory import estimate_memory, fits
from rc_core.recipes import Recipe
from tune_experiments.plan import PlanError


def require_device_memory(
    recipe: Recipe, train: Split, test: Split, *, gpus_per_trial: float, stack: int, precision: str
) -> None:
    """Refuse to pack more trials on a GPU than its memory is estimated to hold.

    Only where this machine has a GPU to ask; a trial that does not fit all the same halves its stack.

    Raises:
        PlanError: they do not fit; the message says how many do.
    """
    if not 0 < gpus_per_trial < 1 or not torch.cuda.is_available():
        return
    needed_bytes = estimate_memory(
        recipe,
        image_size=train.images.shape[1],
        in_channels=train.images.shape[3],
        num_networks=stack,
        precision=precision,
        num_train_examples=len(train.labels),
        num_test_examples=len(test.labels),
    ).total
    _, total_bytes = torch.cuda.mem_get_info()
    num_processes = int(1 / gpus_per_trial)
    if fits(needed_bytes, total_bytes=total_bytes, num_processes=num_processes):
        return
    counts = range(num_processes, 0, -1)
    most = next((n for n in counts if fits(needed_bytes, total_bytes=total_bytes, num_processes=n)), 0)
    advice = f"--gpus-per-trial {1 / most:.3g} fits" if most else "not even one does; use a smaller --stack"
    raise PlanError(
        f"--gpus-per-trial {gpus_per_trial:g}: {num_processes} trials of some {needed_bytes / 2**30:.1f} GiB "
        f"each do not fit into a GPU of {total_bytes / 2**30:.1f} GiB; {advice}"
    )
