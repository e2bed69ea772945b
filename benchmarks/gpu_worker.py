"""One process with one way to compute steps; does steps when it is asked to, and says how long they took.

Command:  python -m benchmarks.gpu_worker VARIANT      (JSON, see `Variant`)
Protocol: JSON lines. The first on stdout says that the worker is ready. `{"steps": 500}` on stdin asks for so
          many steps and is answered by `{"seconds": 0.71, "peak_bytes": 1800000000}`, `{"losses": 20}` by
          `{"losses": [2.31, ...]}` of the first steps of a new run. The end of stdin ends the worker.

A process of its own for every variant: one that runs out of memory or breaks its CUDA context leaves the
others alone, and several of them at once are what trials with fractional GPUs are.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from rc_core.cells import PruneCell, TrainCell
from rc_core.dataset_info import dataset_info
from rc_core.datasets import load_recipe_splits
from rc_core.device_step import Numerics
from rc_core.examples import cell_examples, splits_on_device
from rc_core.execution import resolve_device
from rc_core.process_settings import prepare_process
from rc_core.recipes import Recipe, preset
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, build_model, initial_state

FIRST_SEED = 42
SPARSITY = 0.9

# Eager steps, capture, and some replays.
NUM_WARMUP_STEPS = 10

# Low and constant: the gates compare how steps are computed, and a network at the edge of divergence would
# compare its own sensitivity.
_GATE_LEARNING_RATE = 0.01
# Few, since steps that refresh thresholds are not replayed.
_GATE_NUM_THRESHOLD_UPDATES = 2


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to compute the steps of one phase.

    Attributes:
        recipe: name of a preset.
        phase: `train` or `prune`.
        device: as of `rcsweep run --device`.
        precision: see `Numerics`.
        compile: see `Numerics`.
        capture: see `Numerics`.
        tf32: whether float32 matrix products and convolutions may use TensorFloat-32; no effect on the CPU.
        num_networks: K, networks in the stack.
    """

    recipe: str
    phase: str
    device: str
    precision: str = "float32"
    compile: bool = False
    capture: bool = False
    tf32: bool = False
    num_networks: int = 1

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))


class Steps:
    """Steps of a variant, over and over.

    Args:
        variant: see there.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._device = resolve_device(variant.device)
        prepare_process(threads=1)
        torch.backends.cudnn.allow_tf32 = variant.tf32
        torch.backends.cuda.matmul.allow_tf32 = variant.tf32
        recipe = preset(variant.recipe).recipe
        self._recipe = recipe
        train, test = load_recipe_splits(recipe)
        self._splits = splits_on_device(train, test, self._device)
        self._num_classes = dataset_info(recipe.dataset).num_classes
        self._phase = self._start(recipe)
        self._states = [
            {name: tensor.clone() for name, tensor in self._phase.tensors(network).items()}
            for network in range(variant.num_networks)
        ]
        self.run(NUM_WARMUP_STEPS)

    def _start(self, recipe: Recipe) -> DenseTraining | Surgery:
        variant = self._variant
        seeds = range(FIRST_SEED, FIRST_SEED + variant.num_networks)
        examples = [
            cell_examples(self._splits, randomization=0.0, seed=seed, num_classes=self._num_classes).train
            for seed in seeds
        ]
        model = build_model(
            recipe,
            in_channels=self._splits.train.images.shape[3],
            num_classes=self._num_classes,
            device=self._device,
            num_networks=variant.num_networks,
        )
        numerics = Numerics(precision=variant.precision, compile=variant.compile, capture=variant.capture)
        if variant.phase == "train":
            trainings = [TrainCell(randomization=0.0, seed=seed) for seed in seeds]
            return DenseTraining(trainings, recipe, model, examples, numerics)
        prunings = [PruneCell(randomization=0.0, seed=seed, sparsity=SPARSITY) for seed in seeds]
        starts = [initial_state(recipe, model, seed) for seed in seeds]
        return Surgery(prunings, recipe, model, examples, starts, numerics)

    def run(self, num_steps: int) -> float:
        """Do steps; the seconds that they took, without those of beginning anew at the end of a run."""
        phase, seconds = self._phase, 0.0
        while num_steps:
            if phase.step == phase.num_steps:
                phase.restore(0, self._states, [{}] * len(self._states))
            now = min(num_steps, phase.num_steps - phase.step)
            self._wait()
            began_seconds = time.perf_counter()
            for _ in range(now):
                phase.advance()
            self._wait()
            seconds += time.perf_counter() - began_seconds
            num_steps -= now
        return seconds

    def losses(self, num_steps: int) -> list[float]:
        """Training loss of the first network at every step of a new short run; at most 50 steps."""
        rates = (_GATE_LEARNING_RATE,) * len(self._recipe.train.learning_rates)
        recipe = replace(
            self._recipe,
            train=replace(self._recipe.train, num_steps=num_steps, learning_rates=rates),
            prune=replace(
                self._recipe.prune,
                num_steps=num_steps,
                learning_rate=_GATE_LEARNING_RATE,
                num_threshold_updates=_GATE_NUM_THRESHOLD_UPDATES,
            ),
        )
        phase = self._start(recipe)
        for _ in range(num_steps):
            phase.advance()
        return phase.histories[0].columns["train_loss"]

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def peak_bytes(self) -> int | None:
        """Most memory that tensors took at once in this process; None on the CPU."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None

    def device_name(self) -> str:
        """Name of the GPU, or `cpu`."""
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"


def main() -> None:
    """Answer requests until stdin ends."""
    # What a library prints must not get among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    steps = Steps(Variant(**json.loads(sys.argv[1])))
    say({"ready": True, "device": steps.device_name()})
    for line in sys.stdin:
        request = json.loads(line)
        if "losses" in request:
            say({"losses": steps.losses(request["losses"])})
        else:
            say({"seconds": steps.run(request["steps"]), "peak_bytes": steps.peak_bytes()})


if __name__ == "__main__":
    main()
