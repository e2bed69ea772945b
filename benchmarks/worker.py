"""One process of one candidate: does steps when it is asked to, and says how many and how long they took.

Command:  python -m benchmarks.worker SCENARIO CANDIDATE
Protocol: JSON lines. The first on stdout says that the worker is ready and which code it has imported. Each
          line on stdin, `{"burst_seconds": 3.0}`, asks for steps over that time, and is answered on stdout
          by `{"steps": 412, "seconds": 3.001}`. The end of stdin ends the worker.

Between two bursts a worker waits in a read and takes no time from the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator

import torch

import rc_core
from benchmarks.scenarios import BEFORE, NAIVE, PLAIN, PRODUCT, Candidate, Scenario, scenario
from rc_core.dataset_info import dataset_info
from rc_core.datasets import load_split


class EndlessRun:
    """A run that begins anew when it has ended; setting up, first step and clean-up are not timed.

    Args:
        start: begins a run of at least two steps: an iterator that does one step each time and gives how many
            networks' steps it was.
        clock: seconds from some fixed time on.
    """

    def __init__(
        self, start: Callable[[], Iterator[int]], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._start = start
        self._clock = clock
        self._steps: Iterator[int] = iter(())

    def burst(self, burst_seconds: float) -> tuple[int, float]:
        """Do steps until that time is over; returns their number and the time that they took, in seconds."""
        num_steps, spent_seconds = 0, 0.0
        while True:
            began_seconds, seconds = self._clock(), spent_seconds
            for done in self._steps:
                num_steps += done
                seconds = spent_seconds + self._clock() - began_seconds
                if seconds >= burst_seconds:
                    return num_steps, seconds
            spent_seconds = seconds
            self._steps = self._start()
            next(self._steps)


def starter(chosen: Scenario, candidate: Candidate) -> Callable[[], Iterator[int]]:
    """What begins a run of a candidate; loads the data."""
    recipe, is_dense = chosen.recipe, chosen.phase == "train"
    # The version before has this function, too.
    train = load_split(
        recipe.dataset, "train", num_examples=recipe.num_train_examples, image_size=recipe.image_size
    )
    num_classes = dataset_info(recipe.dataset).num_classes
    if candidate.code == NAIVE:
        from benchmarks import naive

        dataset = naive.LabelledImages(train.images, train.labels)

        def start_naive() -> Iterator[int]:
            network = naive.build_network(recipe, in_channels=train.images.shape[3], num_classes=num_classes)
            losses = (
                naive.train_steps(
                    recipe,
                    network,
                    dataset,
                    num_steps=recipe.train.num_steps,
                    num_workers=candidate.num_workers,
                )
                if is_dense
                else naive.prune_steps(
                    recipe,
                    network,
                    dataset,
                    sparsity=chosen.sparsity,
                    num_steps=recipe.prune.num_steps,
                    num_workers=candidate.num_workers,
                )
            )
            return (1 for _ in losses)

        return start_naive
    if candidate.code == BEFORE:
        from benchmarks import before

        if is_dense:
            return lambda: before.dense_steps(recipe, train, num_classes)
        return lambda: before.prune_steps(recipe, train, num_classes, chosen.sparsity)
    from benchmarks import product
    from rc_core.device_step import Numerics  # the version before has none

    size = candidate.num_networks
    numerics = Numerics(precision=candidate.precision, compile=candidate.compiled)
    if candidate.code == PLAIN:
        return lambda: product.plain_steps(recipe, train, num_classes, chosen.sparsity, size)
    if is_dense:
        return lambda: product.dense_steps(recipe, train, num_classes, size, numerics)
    return lambda: product.prune_steps(recipe, train, num_classes, chosen.sparsity, size, numerics)


def prepare_process(candidate: Candidate) -> None:
    """Set the process up as the candidate's code does; before any data are loaded."""
    if candidate.code in (PRODUCT, PLAIN):
        from benchmarks import product

        product.prepare_process(candidate.threads, keep_memory=candidate.keeps_memory)
    else:
        torch.set_num_threads(candidate.threads)


def main() -> None:
    """Answer requests until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenario")
    parser.add_argument("candidate")
    arguments = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed must not look like an answer
    chosen = scenario(arguments.scenario)
    candidate = chosen.candidate(arguments.candidate)
    prepare_process(candidate)
    run = EndlessRun(starter(chosen, candidate))
    print(json.dumps({"ready": True, "rc_core": rc_core.__file__}), file=answers, flush=True)
    for line in sys.stdin:
        num_steps, seconds = run.burst(json.loads(line)["burst_seconds"])
        print(json.dumps({"steps": num_steps, "seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
