"""Where a step's time goes: data, kernels, optimizer, masks, log, Python.

Command:  python -m benchmarks.step_profile [--quick] [--scenarios digits-dense,digits-dns] [--out FILE.json]
Time:     about 5 minutes on 2 CPU cores
Result:   section `profiles` of docs/results/performance.json

Each candidate runs in a process of its own with its tree's code: the first steps of a run without the
profiler, then with it, three times; the fastest of each are shown, as the least disturbed by other work. A
pruning's first steps are those that update the most masks. The profiler costs time itself, about evenly an
operation, so shares of parts with many small operations are somewhat too high; both totals are shown.
Candidates with loader processes are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import conditions
from benchmarks.parts import MASKS, Marked, marked, seconds_by_part
from benchmarks.scenarios import BEFORE, NAIVE, Candidate, Scenario, scenario
from benchmarks.sections import write_section
from benchmarks.steps import find_data, fix_data_directory, open_trees
from benchmarks.table import profile_table
from benchmarks.trees import Tree
from benchmarks.worker import prepare_process, starter

NUM_STEPS, QUICK_NUM_STEPS = 50, 10
NUM_ROUNDS = 3

DEFAULT_SCENARIOS = "digits-dense,digits-dns"


def profile(chosen: Scenario, candidate: Candidate, num_steps: int) -> dict[str, Any]:
    """Profile a candidate in this process.

    Args:
        chosen: the scenario.
        candidate: one of its candidates.
        num_steps: steps without the profiler, and then with it; less than the schedule's. One before each is
            not counted.

    Returns:
        The number of networks' steps (a stack's step is as many as it has networks), and for all of them
        together the two totals and the seconds of every part.
    """
    prepare_process(candidate)
    start = starter(chosen, candidate)
    rounds = [_profile_round(start, candidate, num_steps) for _ in range(NUM_ROUNDS)]
    return {
        "scenario": chosen.name,
        "candidate": candidate.name,
        "num_steps": num_steps * candidate.num_networks,
        "num_rounds": NUM_ROUNDS,
        "unprofiled_seconds": min(unprofiled_seconds for unprofiled_seconds, _ in rounds),
        "seconds": min((seconds for _, seconds in rounds), key=lambda seconds: sum(seconds.values())),
    }


def _profile_round(
    start: Callable[[], Iterator[int]], candidate: Candidate, num_steps: int
) -> tuple[float, dict[str, float]]:
    """Seconds of some steps without the profiler, and seconds by part of as many with it."""
    run = start()
    next(run)
    unprofiled_seconds = _timed(run, num_steps)
    with marked(_marked_functions(candidate)):
        run = start()
        next(run)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            wall_seconds = _timed(run, num_steps)
    return unprofiled_seconds, seconds_by_part(profiler.events() or (), wall_seconds)


def _timed(run: Iterator[int], num_steps: int) -> float:
    began_seconds = time.perf_counter()
    for _ in itertools.islice(run, num_steps):
        pass
    return time.perf_counter() - began_seconds


def _marked_functions(candidate: Candidate) -> Sequence[Marked]:
    if candidate.code == NAIVE:
        from benchmarks.naive import MaskedWeight

        return (Marked(MASKS, MaskedWeight, "forward"), Marked(MASKS, MaskedWeight, "update"))
    if candidate.code == BEFORE:
        from benchmarks import before

        return before.MARKED
    from benchmarks import product

    return product.MARKED


def profile_in_tree(chosen: Scenario, candidate: Candidate, tree: Tree, num_steps: int) -> dict[str, Any]:
    """`profile` in a process of its own with a tree's code."""
    command = [sys.executable, "-m", "benchmarks.step_profile", "--steps", str(num_steps)]
    command += ["--scenarios", chosen.name, "--one", candidate.name]
    done = subprocess.run(
        command,
        cwd=tree.root,
        env={**tree.environment(), "KINETO_LOG_LEVEL": "99"},  # the profiler's library chats on stderr
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Profile, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenarios", default=DEFAULT_SCENARIOS, help="names with commas")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--steps", type=int, default=NUM_STEPS, help="steps with and without the profiler")
    parser.add_argument("--out", type=Path, help="results file whose section `profiles` is written")
    parser.add_argument("--one", metavar="CANDIDATE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        chosen = [scenario(name) for name in arguments.scenarios.split(",")]
    except ValueError as error:
        parser.error(str(error))
    if arguments.one:
        print(json.dumps(profile(chosen[0], chosen[0].candidate(arguments.one), arguments.steps)))
        return
    num_steps = QUICK_NUM_STEPS if arguments.quick else arguments.steps
    started = conditions.begin(conditions.command_line("benchmarks.step_profile", sys.argv[1:]))
    profiles = []
    fix_data_directory()
    with tempfile.TemporaryDirectory() as folder:
        product, before = open_trees(Path(folder))
        for each in chosen:
            if missing := find_data(each):
                parser.error(missing)
            for candidate in each.candidates:
                tree = before if candidate.needs_before else product
                if tree is None or candidate.num_workers or candidate.num_processes > 1:
                    continue
                profiles.append(profile_in_tree(each, candidate, tree, num_steps))
                print(profile_table(profiles[-1]), flush=True)
    section = {
        "conditions": dataclasses.asdict(conditions.end(started)),
        "product": product.version,
        "before": before.version if before else None,
        "profiles": profiles,
    }
    if arguments.out:
        write_section(arguments.out, "profiles", section)


if __name__ == "__main__":
    main()
