"""Candidates that take turns on a device, each in processes of its own; one that fails says why."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu_crew import Crew, CrewError
from benchmarks.gpu_worker import Variant
from benchmarks.harness import Burst, spread_of, throughput
from rc_core.dataset_info import dataset_info
from rc_core.device_memory import estimate_memory, fits
from rc_core.execution import resolve_device
from rc_core.recipes import preset

NUM_ROUNDS = 5

# Time to move the activations of one step of the paper's recipe in bfloat16 through an H100's memory, with
# every operation fused into its neighbour: arithmetic, not a measurement.
PAPER_TRAFFIC_FLOOR_MS = 0.33


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A candidate.

    Attributes:
        name: for people.
        variant: what a process computes.
        against: name of the candidate that it is compared with; None for the first.
        num_processes: that work at once.
    """

    name: str
    variant: Variant
    against: str | None = None
    num_processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long and how much to measure.

    Attributes:
        num_steps: a turn.
        end_seconds: of the monotonic clock, when the budget is over.
        stacks: numbers of networks.
        processes: numbers of processes.
        with_compile: whether variants that need a compiler are tried.
    """

    num_steps: int
    end_seconds: float
    stacks: tuple[int, ...]
    processes: tuple[int, ...]
    with_compile: bool

    def left_seconds(self) -> float:
        """What is left of the budget; at least one second, so that what is under way can fail by itself."""
        return max(1.0, self.end_seconds - time.monotonic())


def measure(
    rungs: Sequence[Rung], limits: Limits, environment: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Measure candidates in turns; a row each, in their order."""
    failures: dict[str, str] = {}
    seconds: dict[str, list[list[float]]] = {rung.name: [] for rung in rungs}
    peaks: dict[str, int | None] = {}
    with contextlib.ExitStack() as stack:
        crews: dict[str, Crew] = {}
        for rung in rungs:
            if rung.variant.compile and not limits.with_compile:
                failures[rung.name] = "left out: compilation was not asked for"
            elif reason := _too_large(rung):
                failures[rung.name] = f"left out: {reason}"
            else:
                crew = Crew(rung.variant, rung.num_processes, environment)
                crews[rung.name] = stack.enter_context(crew)

        def attempt(name: str, action: Callable[[Crew], Any]) -> Any:
            try:
                return action(crews[name])
            except CrewError as error:
                failures[name] = str(error)
                crews.pop(name).end()
                return None

        for name in list(crews):
            # All start at the same time; one that never gets ready leaves half of the time to the others.
            attempt(name, lambda crew: crew.wait_until_ready(limits.left_seconds() / 2))
        for number in range(NUM_ROUNDS + 1):
            for name in list(crews):
                answers = attempt(
                    name, lambda crew: crew.ask({"steps": limits.num_steps}, limits.left_seconds())
                )
                if answers is not None and number:
                    seconds[name].append([answer["seconds"] for answer in answers])
                    peaks[name] = answers[0]["peak_bytes"]
            if time.monotonic() >= limits.end_seconds:
                break
    # Ratios are of the same round, which a candidate that ended early does not have.
    rates = {
        name: [_rate(each, name, rungs, limits.num_steps) for each in rounds]
        for name, rounds in seconds.items()
    }
    return [_row(rung, rates, failures, peaks) for rung in rungs]


def _rate(seconds: Sequence[float], name: str, rungs: Sequence[Rung], num_steps: int) -> float:
    """Network steps per second of all processes in one round."""
    (rung,) = (each for each in rungs if each.name == name)
    work = num_steps * rung.variant.num_networks
    return throughput([Burst(work=work, seconds=each) for each in seconds])


def _row(
    rung: Rung,
    rates: Mapping[str, Sequence[float]],
    failures: Mapping[str, str],
    peaks: Mapping[str, int | None],
) -> dict[str, Any]:
    variant, mine = rung.variant, rates[rung.name]
    row: dict[str, Any] = {
        "name": rung.name,
        "variant": dataclasses.asdict(variant),
        "num_processes": rung.num_processes,
        "against": rung.against,
        "error": failures.get(rung.name),
    }
    if resolve_device(variant.device).type == "cpu" and (variant.tf32 or variant.capture):
        row["note"] = "on the CPU the same as without TF32 and without capture"
    if not mine:
        row["error"] = row["error"] or "the time was over before it was measured"
        return row
    row |= {
        "num_rounds": len(mine),
        "network_steps_per_second": dataclasses.asdict(spread_of(mine)),
        "ms_per_network_step": dataclasses.asdict(spread_of([1000 / rate for rate in mine])),
        "peak_bytes": peaks[rung.name],
        "estimated_bytes": _estimate(variant),
    }
    if variant.recipe == "paper":
        row["share_of_traffic_floor"] = PAPER_TRAFFIC_FLOOR_MS / row["ms_per_network_step"]["median"]
    theirs = rates[rung.against] if rung.against else ()
    if theirs:
        ratios = [a / b for a, b in zip(mine, theirs, strict=False)]
        row["speed_ratio"] = dataclasses.asdict(spread_of(ratios))
    return row


def _too_large(rung: Rung) -> str | None:
    """Why the processes do not fit the device together, by estimate; None where they do."""
    total_bytes = device_bytes(rung.variant.device)
    if total_bytes is None:
        return None
    needed_bytes = _estimate(rung.variant)
    if fits(needed_bytes, total_bytes=total_bytes, num_processes=rung.num_processes):
        return None
    return f"{rung.num_processes} x {needed_bytes:,} bytes do not fit into {total_bytes:,}"


def device_bytes(name: str) -> int | None:
    """Memory of a GPU; None for the CPU."""
    device = resolve_device(name)
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None


def _estimate(variant: Variant) -> int:
    recipe = preset(variant.recipe).recipe
    info = dataset_info(recipe.dataset)
    return estimate_memory(
        recipe,
        image_size=recipe.image_size or info.height,
        in_channels=info.channels,
        num_networks=variant.num_networks,
        precision=variant.precision,
        num_train_examples=recipe.num_train_examples or info.num_records("train"),
        num_test_examples=recipe.num_test_examples or info.num_records("test"),
        is_captured=variant.capture,
    ).total
