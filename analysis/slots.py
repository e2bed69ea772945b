"""Which slot held which attempt, and how busy the slots were: pure functions of start and end times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from analysis.attempts import Attempt, AttemptLog, Outcome, Run

# Two attempts of one slot may seem to overlap by as much: clocks are set, and times are rounded.
CLOCK_ERROR_SECONDS = 0.5
# ... but never by more than this part of the shorter one: short cells side by side are not one slot.
_CLOCK_ERROR_FRACTION = 0.1

# An attempt belongs to a run that was recorded as beginning up to this much later, or ending earlier.
_GRACE_SECONDS = 1.0
# Where no run is recorded, nothing running for longer than this begins a new one.
PAUSE_SECONDS = 60.0

# Of a stack: what its bar says where its cells ended differently. A failure must not be hidden by the others.
_OUTCOMES: tuple[Outcome, ...] = ("failed", "running", "done", "lost")


class Bar(NamedTuple):
    """What held a slot for a time: an attempt at a cell, or the attempts of a stack.

    Attributes:
        attempts: one, or those at the cells that were trained together in one process, by start.
        slot: an index into `RunSlots.slots`.
    """

    attempts: tuple[Attempt, ...]
    slot: int

    @property
    def started(self) -> float:
        """Unix time of the first start."""
        return min(attempt.started for attempt in self.attempts)

    @property
    def ended(self) -> float | None:
        """Unix time of the last known end; None where no end is recorded."""
        return max((attempt.ended for attempt in self.attempts if attempt.ended is not None), default=None)

    @property
    def outcome(self) -> Outcome:
        """The attempt's; of several, the first of failed, running, done and lost that occurs."""
        found = {attempt.outcome for attempt in self.attempts}
        return next(outcome for outcome in _OUTCOMES if outcome in found)


class RunSlots(NamedTuple):
    """One run of the sweep, packed into slots.

    Attributes:
        started: Unix time of the first start.
        window_seconds: from the first start to the last one; 0 where no attempt has a known end.
        num_slots: as recorded; where more attempts ran at a time, or nothing is recorded, as many as those.
        is_recorded: whether the driver's count of slots is known.
        busy_seconds: of all slots together, within the window.
        slots: (host, number from 1) of every slot, hosts by their first start.
        bars: by start.
    """

    started: float
    window_seconds: float
    num_slots: int
    is_recorded: bool
    busy_seconds: float
    slots: tuple[tuple[str, int], ...]
    bars: tuple[Bar, ...]

    @property
    def utilisation(self) -> float | None:
        """See `utilisation`."""
        return utilisation([self])

    @property
    def seconds(self) -> float:
        """From the first start to the last known end."""
        return max(_end(bar) for bar in self.bars) - self.started

    @property
    def num_attempts(self) -> int:
        """Attempts in all bars."""
        return sum(len(bar.attempts) for bar in self.bars)

    @property
    def num_stacks(self) -> int:
        """Bars of several attempts."""
        return sum(len(bar.attempts) > 1 for bar in self.bars)


def pack(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """A slot for each interval, by greedy interval partitioning: in order of start, the lowest free slot.

    Greedy needs as many slots as intervals overlap at most, which is the least possible (Kleinberg and
    Tardos, Algorithm Design, section 4.1). Where no slot is free, one is taken that is free within the clock
    error: min(`CLOCK_ERROR_SECONDS`, a tenth of the shorter of the two intervals).

    Args:
        intervals: (start, end) in seconds, in any order; of equal starts the first has the lower slot.

    Returns:
        Slots from 0, in the order of `intervals`.
    """
    slots = [0] * len(intervals)
    last: list[tuple[float, float]] = []  # of each slot: the interval in it that ends last
    for index in sorted(range(len(intervals)), key=lambda index: intervals[index][0]):
        start, end = intervals[index]
        free = [slot for slot, (_, busy_until) in enumerate(last) if busy_until <= start]
        nearly_free = [
            slot
            for slot, (began, busy_until) in enumerate(last)
            if busy_until - start
            <= min(CLOCK_ERROR_SECONDS, _CLOCK_ERROR_FRACTION * min(end - start, busy_until - began))
        ]
        slot = next(iter(free or nearly_free), len(last))
        slots[index] = slot
        if slot == len(last):
            last.append((start, end))
        else:
            last[slot] = max(last[slot], (start, end), key=lambda interval: interval[1])
    return slots


def utilisation(runs: Sequence[RunSlots]) -> float | None:
    """Share of the slots' time that was spent in cells while there were cells to start.

    For a run with s slots and bars (attempts, or stacks of them) from a_i to b_i, with t = min a_i the first
    start and T = max a_i the last one, from which on a slot that becomes free stays idle because nothing is
    left to start,

        U = sum over slots of |union of [a_i, b_i] in the slot, within [t, T]| / (s (T - t));

    over several runs, the sum of the numerators over the sum of the denominators. An attempt whose end nobody
    recorded counts as no time, and a slot that waits for a parent as idle. Only where a driver was killed
    before it recorded s, for which the number of slots seen busy stands in, may U be too high.

    Returns:
        A fraction in [0, 1]; None where the window has no length (a single cell, all started at once, or no
        end known).
    """
    available_seconds = sum(run.num_slots * run.window_seconds for run in runs)
    if available_seconds <= 0:
        return None
    return sum(run.busy_seconds for run in runs) / available_seconds


def pack_runs(log: AttemptLog) -> tuple[RunSlots, ...]:
    """Every run with its attempts in slots; runs in which nothing started are left out."""
    return tuple(_pack_run(attempts, run) for run, attempts in _split_into_runs(log) if attempts)


def stack_attempts(attempts: Iterable[Attempt]) -> list[tuple[Attempt, ...]]:
    """The attempts that took a slot together, by first start: those of a stack on one host, each other alone.

    A cell stands in a stack once: a second attempt at it begins the stack anew.

    Args:
        attempts: sorted by start.
    """
    together: list[list[Attempt]] = []
    stacks: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        if attempt.stack is None:
            together.append([attempt])
            continue
        stack = stacks.get((attempt.host, attempt.stack))
        if stack is None or attempt.cell_id in {other.cell_id for other in stack}:
            stack = stacks[attempt.host, attempt.stack] = []
            together.append(stack)
        stack.append(attempt)
    return [tuple(one) for one in together]


def _pack_run(attempts: Sequence[Attempt], run: Run | None) -> RunSlots:
    unpacked = [Bar(together, 0) for together in stack_attempts(attempts)]
    first, last = unpacked[0].started, max(bar.started for bar in unpacked)
    if all(bar.ended is None for bar in unpacked):
        last = first  # a driver killed at once tells nothing of how busy its slots were
    by_host: dict[str, list[Bar]] = {}
    for bar in unpacked:
        by_host.setdefault(bar.attempts[0].host, []).append(bar)
    slots: list[tuple[str, int]] = []
    bars: list[Bar] = []
    busy_seconds = 0.0
    for host, of_host in by_host.items():
        packed = pack([(bar.started, _end(bar)) for bar in of_host])
        by_slot: dict[int, list[Bar]] = {}
        for bar, slot in zip(of_host, packed, strict=True):
            by_slot.setdefault(slot, []).append(bar)
            bars.append(Bar(bar.attempts, len(slots) + slot))
        busy_seconds += sum(_union_seconds(in_slot, last) for in_slot in by_slot.values())
        slots += [(host, number + 1) for number in range(len(by_slot))]
    at_a_time = max(pack([(bar.started, _end(bar)) for bar in unpacked])) + 1
    return RunSlots(
        started=first,
        window_seconds=last - first,
        num_slots=max(at_a_time, run.num_slots if run else 0),
        is_recorded=run is not None,
        busy_seconds=busy_seconds,
        slots=tuple(slots),
        bars=tuple(sorted(bars, key=lambda bar: (bar.started, bar.slot))),
    )


def _end(one: Attempt | Bar) -> float:
    return one.started if one.ended is None else one.ended


def _union_seconds(bars: Sequence[Bar], until: float) -> float:
    """Length of the union of the bars, sorted by start, before a time."""
    total, covered_until = 0.0, float("-inf")
    for bar in bars:
        end = min(_end(bar), until)
        total += max(0.0, end - max(bar.started, covered_until))
        covered_until = max(covered_until, end)
    return total


def _split_into_runs(log: AttemptLog) -> list[tuple[Run | None, list[Attempt]]]:
    """Attempts by the run in which they started; those of no recorded run, apart at every pause."""
    spans: list[tuple[float, float]] = []
    for run in log.runs:
        begin = spans[-1][1] if run.started is None and spans else run.started
        spans.append((float("-inf") if begin is None else begin, run.ended or float("inf")))
    parts: list[tuple[Run | None, list[Attempt]]] = []

    def number_of(attempt: Attempt) -> int | None:
        for number, (begin, end) in enumerate(spans):
            if begin - _GRACE_SECONDS <= attempt.started <= end + _GRACE_SECONDS:
                return number
        return None

    for number, group in groupby(log.attempts, key=number_of):
        attempts = list(group)
        if number is not None:
            parts.append((log.runs[number], attempts))
            continue
        busy_until = attempts[0].started
        parts.append((None, []))
        for attempt in attempts:
            if attempt.started - busy_until > PAUSE_SECONDS:
                parts.append((None, []))
            parts[-1][1].append(attempt)
            busy_until = max(busy_until, _end(attempt))
    return parts
