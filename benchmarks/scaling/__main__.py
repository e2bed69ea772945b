"""Simulated sweeps: how far one driver, one object store and one head carry.

python -m benchmarks.scaling simulate   every scenario of docs/scaling.md, into docs/results/scaling.json
python -m benchmarks.scaling document   tables and figure of docs/scaling.md from that file; --check compares
python -m benchmarks.scaling one --gpus 64 --seeds 36 --losses 0.05 --stack 4   one sweep of the paper's grid
python -m benchmarks.scaling measure    the costs that this machine can measure, for costs.json
python -m benchmarks.scaling check      predicts `rcsweep run digits` on 2 slots from costs measured one by
                                        one, runs it, and writes both to the file; on a quiet machine

`one` takes seconds, `document` and `--help` less, the others minutes. Costs and their sources are in
benchmarks/scaling/costs.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import conditions
from benchmarks.scaling import scenarios
from benchmarks.scaling.cluster import Cluster
from benchmarks.scaling.costs import read_costs, read_profiles
from benchmarks.scaling.simulation import simulate
from benchmarks.scaling.tables import all_tables
from benchmarks.sections import read_sections, write_section
from benchmarks.table import filled

RESULTS = Path("docs") / "results" / "scaling.json"
DOCUMENT = Path("docs") / "scaling.md"
IMAGE = Path("docs") / "images" / "scaling.png"
WIDTH_PIXELS = 900


def report(line: str) -> None:
    """A line about what goes on."""
    print(line, file=sys.stderr, flush=True)


def simulate_all(arguments: argparse.Namespace) -> None:
    """Every scenario, into the file of results."""
    started = conditions.begin("python -m benchmarks.scaling simulate")
    entries = []
    for scenario in scenarios.scenarios():
        outcome = dataclasses.asdict(scenarios.run(scenario))
        entry = {
            "table": scenario.table,
            "name": scenario.name,
            "cluster": dataclasses.asdict(scenario.cluster),
            "changes": scenario.changes,
            "outcome": outcome,
        }
        report(f"{scenario.table}: {scenario.name}: {outcome['makespan_seconds'] / 3600:.2f} h")
        entries.append(entry)
    section = {
        "conditions": dataclasses.asdict(conditions.end(started)),
        "costs": read_profiles()[scenarios.PROFILE],
        "scenarios": entries,
    }
    write_section(arguments.results, "simulations", section)


def document(arguments: argparse.Namespace) -> None:
    """Fill the document and draw the figure, or see whether the document is as the results have it."""
    sections = read_sections(arguments.results)
    old = DOCUMENT.read_text()
    new = filled(old, all_tables(sections))
    if arguments.check:
        if new != old:
            sys.exit(f"{DOCUMENT} differs from {arguments.results}: leave out --check to mend it")
        return
    DOCUMENT.write_text(new)
    draw(sections)


def draw(sections: Mapping[str, Any]) -> None:
    """The figure, where kaleido and Chromium are."""
    from benchmarks.scaling.figure import get_utilisation_info, plot_utilisation

    figure = plot_utilisation(get_utilisation_info(sections["simulations"]["scenarios"]))
    figure.write_image(IMAGE, width=WIDTH_PIXELS, scale=2)


def simulate_one(arguments: argparse.Namespace) -> None:
    """One sweep, as JSON."""
    cluster = Cluster(
        num_gpus=arguments.gpus,
        gpus_per_node=arguments.gpus_per_node,
        is_empty=arguments.empty,
        losses_per_gpu_hour=arguments.losses,
        stack=arguments.stack,
        max_pending=arguments.max_pending or None,
        seed=arguments.seed,
    )
    costs = read_costs(scenarios.PROFILE)
    if arguments.step_seconds:
        step = costs.train_step._replace(each=arguments.step_seconds)
        costs = dataclasses.replace(costs, train_step=step, prune_step=step)
    outcome = simulate(scenarios.cells(arguments.seeds), costs, cluster)
    print(json.dumps(dataclasses.asdict(outcome) | {"utilisation": outcome.utilisation}, indent=1))


def measure(arguments: argparse.Namespace) -> None:
    """The costs of this machine, as JSON."""
    from benchmarks.scaling.measure import measure_machine

    print(json.dumps(measure_machine(report), indent=1))


def check(arguments: argparse.Namespace) -> None:
    """A prediction and its sweeps, into the file of results."""
    from benchmarks.scaling.check import check as compare

    command = f"python -m benchmarks.scaling check --rounds {arguments.rounds}"
    write_section(arguments.results, "check", compare(command, arguments.rounds, report))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("simulate").set_defaults(run=simulate_all)
    filling = commands.add_parser("document")
    filling.add_argument("--check", action="store_true", help="change nothing; exit code 1 where it would")
    filling.set_defaults(run=document)
    one = commands.add_parser("one", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    one.add_argument("--gpus", type=int, default=8, help="slots at most")
    one.add_argument("--gpus-per-node", type=int, default=8, help="a node is lost as a whole")
    one.add_argument("--seeds", type=int, default=3, help="of the paper's grid, 30 cells each")
    one.add_argument("--losses", type=float, default=0.0, help="of each GPU in an hour")
    one.add_argument("--stack", type=int, default=1, help="most cells of a trial")
    one.add_argument("--step-seconds", type=float, help="of one network, training and pruning")
    one.add_argument("--max-pending", type=int, default=200, help="trials that wait or run; 0 = no bound")
    one.add_argument("--empty", action="store_true", help="the autoscaler adds the workers")
    one.add_argument("--seed", type=int, default=0, help="of the losses")
    one.set_defaults(run=simulate_one)
    commands.add_parser("measure").set_defaults(run=measure)
    checking = commands.add_parser("check")
    checking.add_argument("--rounds", type=int, default=3, help="sweeps to compare with, at least 1")
    checking.set_defaults(run=check)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
