"""Optimisation steps: the product against the usual way to write it and against the version before stacks.

Command:  python -m benchmarks.steps [--quick] [--scenarios digits-dense,resnet20] [--out FILE.json]
Time:     about 20 minutes on 2 idle CPU cores; --quick, which leaves out the slow scenarios: about 2
Result:   section `steps` of docs/results/performance.json; `python -m benchmarks.table` shows it

Every candidate runs in processes of its own, one after the other in every round. A scenario on CIFAR-10 is
skipped where its TFRecords are not found, the version before where git's history is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import conditions
from benchmarks.harness import Comparison, compare
from benchmarks.scenarios import Scenario, scenario, scenarios
from benchmarks.sections import write_section
from benchmarks.slots import Slots
from benchmarks.table import comparison_table
from benchmarks.trees import BEFORE_COMMIT, MissingCommitError, Tree, copy_working_tree, extract_commit
from rc_core.dataset_info import DATA_VARIABLE, dataset_info
from rc_core.datasets import locate_split

NUM_ROUNDS, QUICK_NUM_ROUNDS = 5, 2
QUICK_BURST_SECONDS = 0.5
QUICK_SCENARIOS = ("digits-dense", "digits-dns", "surgery-overhead", "resnet20")


def measure(
    chosen: Scenario, product: Tree, before: Tree | None, *, num_rounds: int, burst_seconds: float
) -> Comparison:
    """Compare the candidates of one scenario.

    Args:
        chosen: the scenario.
        product: today's code.
        before: the version before, or None where it cannot be had; its candidates are then left out.
        num_rounds: repetitions.
        burst_seconds: length of a turn.
    """
    with contextlib.ExitStack() as stack:
        slots = {}
        for candidate in chosen.candidates:
            tree = before if candidate.needs_before else product
            if tree is not None:
                slots[candidate.name] = stack.enter_context(Slots(chosen, candidate, tree, burst_seconds))
        for each in slots.values():
            each.wait_until_ready()
        return compare(
            slots,
            name=chosen.name,
            title=chosen.title,
            unit=chosen.unit,
            baseline=chosen.baselines,
            repetitions=num_rounds,
            report=lambda line: print(f"{chosen.name}: {line}", file=sys.stderr, flush=True),
        )


def fix_data_directory() -> None:
    """Make the directory where the product looks for data absolute: workers start in other folders."""
    os.environ[DATA_VARIABLE] = str(Path(os.environ.get(DATA_VARIABLE) or "data").expanduser().resolve())


def find_data(chosen: Scenario) -> str | None:
    """Why a scenario's data cannot be found by the product's own look-up; None where they can."""
    try:
        locate_split(dataset_info(chosen.recipe.dataset), "train")
    except FileNotFoundError as error:
        return str(error)
    return None


def open_trees(folder: Path) -> tuple[Tree, Tree | None]:
    """The code of the product and of the version before; the latter is None where it cannot be had."""
    product = copy_working_tree(folder / "product")
    try:
        return product, extract_commit(BEFORE_COMMIT, folder / "before")
    except MissingCommitError as error:
        print(f"the version before is left out: {error}", file=sys.stderr)
        return product, None


def measure_all(chosen: Sequence[Scenario], command: str, *, is_quick: bool) -> dict[str, Any]:
    """Measure scenario after scenario, print their tables, and give the section of the results file."""
    started = conditions.begin(command)
    comparisons: list[dict[str, Any]] = []
    left_out: list[str] = []
    fix_data_directory()
    with tempfile.TemporaryDirectory() as folder:
        product, before = open_trees(Path(folder))
        for each in chosen:
            if missing := find_data(each):
                print(f"{each.name} is left out: {missing}", file=sys.stderr)
                left_out.append(each.name)
                continue
            comparison = measure(
                each,
                product,
                before,
                num_rounds=QUICK_NUM_ROUNDS if is_quick else NUM_ROUNDS,
                burst_seconds=QUICK_BURST_SECONDS if is_quick else each.burst_seconds,
            )
            print(comparison_table(comparison), flush=True)
            comparisons.append(dataclasses.asdict(comparison))
    return {
        "conditions": dataclasses.asdict(conditions.end(started)),
        "product": product.version,
        "before": before.version if before else None,
        "comparisons": comparisons,
        "left_out": left_out,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenarios", metavar="NAMES", help=f"with commas, of {', '.join(scenarios())}")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--out", type=Path, help="results file whose section `steps` is written")
    parser.add_argument("--section", default="steps", help="another name keeps what was measured before")
    arguments = parser.parse_args()
    default = QUICK_SCENARIOS if arguments.quick else tuple(scenarios())
    try:
        chosen = [scenario(name) for name in (arguments.scenarios or ",".join(default)).split(",")]
    except ValueError as error:
        parser.error(str(error))
    command = conditions.command_line("benchmarks.steps", sys.argv[1:])
    section = measure_all(chosen, command, is_quick=arguments.quick)
    if arguments.out:
        write_section(arguments.out, arguments.section, section)


if __name__ == "__main__":
    main()
