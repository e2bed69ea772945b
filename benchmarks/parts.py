"""The parts of an optimisation step, and whose time is which part's.

A step is one line of time on one thread: ranges (a marked function, an optimizer's step) hold operations,
which hold others. What happens inside a part's range belongs to the part; outside of them an operation
belongs to a group of kernels by its name; and the time that no operation covers is Python.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import torch

DATA, CONVOLUTION, BATCH_NORM, OTHER_KERNELS = "data", "convolution", "batch norm", "other kernels"
OPTIMIZER, MASKS, LOGGING, DISPATCH = "optimizer", "masks", "logging", "Python and dispatch"

PARTS = (DATA, CONVOLUTION, BATCH_NORM, OTHER_KERNELS, OPTIMIZER, MASKS, LOGGING, DISPATCH)

_MARK = "part:"

# Ranges that torch marks by itself, and the gradient of naive.py's masks.
_TORCH_RANGES = {
    "Optimizer.step#": OPTIMIZER,
    "Optimizer.zero_grad#": OPTIMIZER,
    "enumerate(DataLoader)#": DATA,
    "StraightThroughBackward": MASKS,
}


class Marked(NamedTuple):
    """A function whose time belongs to one part.

    Attributes:
        part: one of `PARTS`.
        owner: the class or module that has it.
        attribute: its name there.
    """

    part: str
    owner: Any
    attribute: str


class Event(Protocol):
    """A range or an operation, as `torch.autograd.profiler_util.FunctionEvent` is one."""

    name: str
    cpu_parent: Any
    self_cpu_time_total: float


@contextlib.contextmanager
def marked(functions: Iterable[Marked]) -> Iterator[None]:
    """Let the profiler see a range around every call of the functions."""
    with contextlib.ExitStack() as stack:
        for function in functions:
            stack.enter_context(_marked(function))
        yield


@contextlib.contextmanager
def _marked(function: Marked) -> Iterator[None]:
    original = getattr(function.owner, function.attribute)

    @functools.wraps(original)
    def with_range(*arguments: Any, **named: Any) -> Any:
        with torch.profiler.record_function(_MARK + function.part):
            return original(*arguments, **named)

    setattr(function.owner, function.attribute, with_range)
    try:
        yield
    finally:
        setattr(function.owner, function.attribute, original)


def seconds_by_part(events: Iterable[Event], wall_seconds: float) -> dict[str, float]:
    """Time of every part; they add up to the wall time.

    Args:
        events: of one thread; times in microseconds.
        wall_seconds: from the first step's begin to the last one's end.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    for event in events:
        seconds[part_of(event)] += event.self_cpu_time_total / 1e6
    seconds[DISPATCH] += wall_seconds - sum(seconds.values())
    return seconds


def part_of(event: Event) -> str:
    """The part of the innermost range around an event, else the kernels' group by its name."""
    around: Event | None = event
    while around is not None:
        if around.name.startswith(_MARK):
            return around.name.removeprefix(_MARK)
        for beginning, part in _TORCH_RANGES.items():
            if around.name.startswith(beginning):
                return part
        around = around.cpu_parent
    if not event.name.startswith("aten::"):
        return DISPATCH
    if "conv" in event.name:
        return CONVOLUTION
    return BATCH_NORM if "batch_norm" in event.name else OTHER_KERNELS
