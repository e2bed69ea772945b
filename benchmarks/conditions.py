"""Under what conditions a figure was measured: command, code, packages, machine and its load."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rc_core.provenance import code_version, package_versions, utc_now

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What stands beside every measured figure.

    Attributes:
        command: that measures again.
        code_version: of the checkout.
        versions: of Python and the packages.
        cpu_model: name of the processor.
        cpu_count: logical CPUs.
        device: what the work ran on, `cpu` or the name of a GPU.
        date: when it began, ISO 8601, UTC.
        load_before: load average of the last 1, 5 and 15 minutes when it began.
        load_after: the same when it ended; None until then.
    """

    command: str
    code_version: str
    versions: dict[str, str]
    cpu_model: str
    cpu_count: int
    device: str
    date: str
    load_before: tuple[float, ...]
    load_after: tuple[float, ...] | None = None


def begin(command: str, *, device: str = "cpu") -> Conditions:
    """The conditions as a measurement begins; give them to `end` when it has ended."""
    return Conditions(
        command=command,
        code_version=code_version(),
        versions=package_versions(),
        cpu_model=cpu_model(),
        cpu_count=os.cpu_count() or 1,
        device=device,
        date=utc_now(),
        load_before=load_average(),
    )


def end(conditions: Conditions) -> Conditions:
    """The conditions with the load as it is now."""
    return dataclasses.replace(conditions, load_after=load_average())


def command_line(module: str, arguments: Sequence[str]) -> str:
    """The command that runs a module with these arguments, but for `--out`, which names a place."""
    kept: list[str] = []
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if argument != "--out" and previous != "--out" and not argument.startswith("--out="):
            kept.append(argument)
    return shlex.join(["python", "-m", module, *kept])


def load_average() -> tuple[float, ...]:
    """Load average of the last 1, 5 and 15 minutes, two decimals; the measured work is part of it."""
    return tuple(round(value, 2) for value in os.getloadavg())


def cpu_model(cpu_info: Path = _CPU_INFO) -> str:
    """Name of the processor, as the kernel gives it where it does."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
