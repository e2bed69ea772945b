"""How fast a step can be computed on a device: a ladder of variants, stacks, and processes that share it.

Command:  python -m benchmarks.gpu_ladder --out FILE.json [--recipe paper] [--steps 500] [--device cuda]
          [--seconds-budget 540] [--sections numerics,stacks,processes,gates]
Time:     the budget; most of it is compilation. A section that is in FILE is not measured again, so that the
          same command, given again, goes on with the next one
Exit:     0 all sections are there, 75 more to do

Candidates take turns, each in processes of its own; the first turn of each is not counted. A row that could
not be measured says why. On the CPU TF32 and capture have no effect, and rows with them say so.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import conditions
from benchmarks.gpu_crew import Crew, CrewError, process_service
from benchmarks.gpu_turns import Limits, Rung, measure
from benchmarks.gpu_worker import Variant
from benchmarks.sections import read_sections, write_section
from rc_core.execution import resolve_device
from rc_core.recipes import PRESETS, preset

COMPLETE, MORE_TO_DO = 0, 75
PHASES = ("train", "prune")

# Greatest relative difference of the loss over the first steps that passes; a replay is the same kernels.
_TOLERANCES = {"compiled": 1e-2, "captured": 1e-6, "bfloat16": 5e-2, "bfloat16, compiled, captured": 5e-2}


def numerics_rungs(base: Variant) -> list[Rung]:
    """The ladder: each adds one thing to the one before, or to the one that it names."""
    tf32 = replace(base, tf32=True)
    half = replace(tf32, precision="bfloat16")
    compiled = replace(half, compile=True)
    return [
        Rung(name="float32", variant=base),
        Rung(name="+ TF32", variant=tf32, against="float32"),
        Rung(name="+ bfloat16", variant=half, against="+ TF32"),
        Rung(name="+ compiled", variant=compiled, against="+ bfloat16"),
        Rung(name="+ captured", variant=replace(compiled, capture=True), against="+ compiled"),
        Rung(name="TF32, captured", variant=replace(tf32, capture=True), against="+ TF32"),
        Rung(name="bfloat16, captured", variant=replace(half, capture=True), against="+ bfloat16"),
    ]


def best_variant(base: Variant, sections: Mapping[str, Any]) -> Variant:
    """The fastest variant of this phase that was measured; captured float32 where none was."""
    rows = [row for row in sections.get("numerics", {}).get(base.phase, []) if "ms_per_network_step" in row]
    if not rows:
        return replace(base, tf32=True, capture=True)
    fastest = min(rows, key=lambda row: row["ms_per_network_step"]["median"])
    return Variant(**fastest["variant"])


def measure_numerics(base: Variant, limits: Limits, sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ladder of one phase."""
    return measure(numerics_rungs(base), limits)


def measure_stacks(base: Variant, limits: Limits, sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Several networks in one process, as one grouped network."""
    best, first = best_variant(base, sections), f"K = {limits.stacks[0]}"
    return measure(
        [
            Rung(
                name=f"K = {number}",
                variant=replace(best, num_networks=number),
                against=None if f"K = {number}" == first else first,
            )
            for number in limits.stacks
        ],
        limits,
    )


def measure_processes(base: Variant, limits: Limits, sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Several processes at once, with and without NVIDIA's multi-process service."""
    best, first = best_variant(base, sections), limits.processes[0]

    def rungs(suffix: str) -> list[Rung]:
        return [
            Rung(
                name=f"P = {number}{suffix}",
                variant=best,
                against=None if number == first else f"P = {first}{suffix}",
                num_processes=number,
            )
            for number in limits.processes
        ]

    # Half of what is left each, lest the first leave nothing for the second.
    half = replace(limits, end_seconds=time.monotonic() + limits.left_seconds() / 2)
    rows = measure(rungs(""), half)
    if resolve_device(base.device).type == "cpu":
        return rows
    try:
        with process_service() as environment:
            return rows + measure(rungs(", MPS"), limits, environment)
    except CrewError as error:
        return [*rows, {"name": "MPS", "error": str(error)}]


def measure_gates(base: Variant, limits: Limits, sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How far the losses of the first steps are from those of eager float32."""
    num_steps = min(20, limits.num_steps)
    half = replace(base, precision="bfloat16")
    variants = {
        "eager": base,
        "compiled": replace(base, compile=True),
        "captured": replace(base, capture=True),
        "bfloat16": half,
        "bfloat16, compiled, captured": replace(half, compile=True, capture=True),
    }
    losses: dict[str, list[float]] = {}
    rows: list[dict[str, Any]] = []
    for name, variant in variants.items():
        row: dict[str, Any] = {"name": name, "variant": dataclasses.asdict(variant), "num_steps": num_steps}
        try:
            if variant.compile and not limits.with_compile:
                raise CrewError("left out: compilation was not asked for")
            with Crew(variant) as crew:
                crew.wait_until_ready(limits.left_seconds())
                (answer,) = crew.ask({"losses": num_steps}, limits.left_seconds())
            losses[name] = row["losses"] = answer["losses"]
            if name in _TOLERANCES and "eager" in losses:
                difference = greatest_relative_difference(losses[name], losses["eager"])
                row |= {
                    "max_relative_difference": difference,
                    "tolerance": _TOLERANCES[name],
                    "passes": difference <= _TOLERANCES[name],
                }
        except CrewError as error:
            row["error"] = str(error)
        rows.append(row)
    return rows


def greatest_relative_difference(values: Sequence[float], reference: Sequence[float]) -> float:
    """The greatest |value - reference| / |reference|."""
    return max(abs(a - b) / abs(b) for a, b in zip(values, reference, strict=True))


def project_hours(sections: Mapping[str, Any], recipe_name: str) -> dict[str, Any]:
    """Hours for one seed of the recipe's grid by the fastest way that was measured for each phase."""
    chosen = preset(recipe_name)
    num_trainings = len(chosen.grid.randomizations)
    steps = {
        "train": num_trainings * chosen.recipe.train.num_steps,
        "prune": num_trainings * len(chosen.grid.sparsities) * chosen.recipe.prune.num_steps,
    }
    hours, by = 0.0, {}
    for phase in PHASES:
        rows = [
            (row["ms_per_network_step"]["median"], f"{name}: {row['name']}")
            for name in SECTIONS
            for row in sections.get(name, {}).get(phase, [])
            if "ms_per_network_step" in row
        ]
        if not rows:
            return {"hours": None, "missing": phase}
        ms, by[phase] = min(rows)
        hours += steps[phase] * ms / 3_600_000
    return {"hours": hours, "by": by, "steps": steps}


SECTIONS: dict[str, Callable[[Variant, Limits, Mapping[str, Any]], list[dict[str, Any]]]] = {
    "numerics": measure_numerics,
    "gates": measure_gates,
    "stacks": measure_stacks,
    "processes": measure_processes,
}


def run_ladder(arguments: argparse.Namespace, argv: Sequence[str]) -> int:
    """Measure the sections that the file does not have yet, while there is time; the exit code."""
    path = Path(arguments.out)
    end_seconds = time.monotonic() + arguments.seconds_budget
    wanted = [(name, phase) for name in arguments.sections for phase in PHASES]
    for name, phase in wanted:
        sections = read_sections(path)
        if phase in sections.get(name, {}):
            continue
        now = time.monotonic()
        if end_seconds - now < arguments.seconds_budget / 4:  # too little to start, compile and measure
            return MORE_TO_DO
        share_seconds = min(end_seconds - now, arguments.seconds_budget / 2)
        print(f"{name}, {phase}: up to {share_seconds:.0f} s", file=sys.stderr, flush=True)
        limits = Limits(
            num_steps=arguments.steps,
            end_seconds=now + share_seconds,
            stacks=arguments.stacks,
            processes=arguments.processes,
            with_compile=not arguments.no_compile,
        )
        base = Variant(recipe=arguments.recipe, phase=phase, device=arguments.device)
        began = conditions.begin(
            conditions.command_line("benchmarks.gpu_ladder", argv), device=_device_name(arguments.device)
        )
        rows = SECTIONS[name](base, limits, sections)
        measured = dataclasses.asdict(conditions.end(began))
        section = sections.get(name, {}) | {phase: rows, f"{phase}_conditions": measured}
        write_section(path, name, section)
        projected = project_hours(read_sections(path), arguments.recipe)
        write_section(path, "projection", projected)
        for row in rows:
            print(_line(row), file=sys.stderr, flush=True)
    return COMPLETE


def _device_name(name: str) -> str:
    device = resolve_device(name)
    if device.type == "cpu":
        return "cpu"
    return torch.cuda.get_device_name(device)


def _line(row: Mapping[str, Any]) -> str:
    if "ms_per_network_step" in row:
        return f"  {row['name']}: {row['ms_per_network_step']['median']:.3f} ms per network step"
    if "max_relative_difference" in row:
        return f"  {row['name']}: loss differs by up to {row['max_relative_difference']:.2g}"
    return f"  {row['name']}: {row.get('error') or 'reference'}"


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(each) for each in text.split(","))
    if min(numbers) < 1:
        raise ValueError(f"{text}: every number must be at least 1")
    return numbers


def _section_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise ValueError(f"sections = {text}: must be among {', '.join(SECTIONS)}")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the file."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="FILE.json")
    parser.add_argument("--recipe", choices=tuple(PRESETS), default="paper")
    parser.add_argument("--steps", type=int, default=500, help="a turn; 500 hold one refresh of thresholds")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds-budget", type=float, default=540.0)
    parser.add_argument("--sections", type=_section_names, default=tuple(SECTIONS))
    parser.add_argument("--stacks", type=_numbers, default=(1, 2, 4, 8))
    parser.add_argument("--processes", type=_numbers, default=(1, 2, 4, 8))
    parser.add_argument("--no-compile", action="store_true", help="leave out what needs a compiler")
    return run_ladder(parser.parse_args(argv), argv)


if __name__ == "__main__":
    sys.exit(main())
