"""Candidates measured alternately, and what each is against a baseline in the same round.

A shared machine drifts: what is measured a minute later is measured on another machine. So the candidates
take turns (A B C A B C ...), and each is compared with the baseline's turn of the same round. A slow drift is
in both and cancels; the spread over the rounds shows what does not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Work done without a pause by one process.

    Attributes:
        work: how much, in the comparison's unit of work, > 0.
        seconds: wall time that it took, > 0.
    """

    work: float
    seconds: float

    def __post_init__(self) -> None:
        for name, value in (("work", self.work), ("seconds", self.seconds)):
            if not value > 0:
                raise ValueError(f"{name} = {value!r}: must be above 0; make the burst longer")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, least and greatest of some numbers.

    Attributes:
        median: the mean of the middle two where their number is even.
        minimum: the least.
        maximum: the greatest.
    """

    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one candidate did.

    Attributes:
        name: the candidate's.
        rates: work per second of every round, in order.
        rate: their spread.
        ratio: spread of (its rate / the baseline's rate in the same round); above 1 is faster.
    """

    name: str
    rates: tuple[float, ...]
    rate: Spread
    ratio: Spread


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidates measured alternately.

    Attributes:
        name: short name, unique among the results.
        title: what was measured, for people.
        unit: of the rates, e.g. `steps/s`.
        baseline: the candidate that the ratios are against.
        num_rounds: repetitions, without the warm-up.
        measured: one a candidate.
    """

    name: str
    title: str
    unit: str
    baseline: str
    num_rounds: int
    measured: tuple[Measured, ...]

    def ratio(self, name: str) -> Spread:
        """The ratio of one candidate to the baseline.

        Raises:
            KeyError: no such candidate.
        """
        return {each.name: each.ratio for each in self.measured}[name]


def alternate(
    candidates: Mapping[str, Callable[[], Outcome]],
    *,
    repetitions: int,
    warmups: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Outcome]]:
    """Call the candidates in turn, `warmups` + `repetitions` times each, and keep what the latter gave.

    Args:
        candidates: what to call, by name; called in this order in every round.
        repetitions: rounds that count, >= 1.
        warmups: rounds before them that do not, >= 0.
        report: called with a line before every round.

    Raises:
        ValueError: no candidates, or a count out of range.
    """
    if not candidates:
        raise ValueError("candidates is empty: name at least one")
    if repetitions < 1:
        raise ValueError(f"repetitions = {repetitions}: must be at least 1")
    if warmups < 0:
        raise ValueError(f"warmups = {warmups}: must be at least 0")
    outcomes: dict[str, list[Outcome]] = {name: [] for name in candidates}
    for number in range(1 - warmups, repetitions + 1):
        report(f"round {number} of {repetitions}" if number > 0 else "warm-up")
        for name, candidate in candidates.items():
            outcome = candidate()
            if number > 0:
                outcomes[name].append(outcome)
    return outcomes


def summarize(
    rates: Mapping[str, Sequence[float]], *, name: str, title: str, unit: str, baseline: str | Sequence[str]
) -> Comparison:
    """Medians, spreads and ratios per round of rates that were measured alternately.

    Args:
        rates: work per second by candidate, one a round; all of equal length.
        name: see `Comparison`.
        title: see `Comparison`.
        unit: see `Comparison`.
        baseline: the baseline's name; of several, the one with the highest median is taken, so that the
            comparison is with the best of them on the machine at hand.

    Raises:
        ValueError: no such candidate, or candidates with different numbers of rounds.
    """
    names = [baseline] if isinstance(baseline, str) else list(baseline)
    unknown = [each for each in names if each not in rates]
    if unknown or not names:
        raise ValueError(f"baseline = {baseline!r}: must be among the candidates, {', '.join(rates)}")
    lengths = {each: len(values) for each, values in rates.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"rounds by candidate = {lengths}: must be equal and at least 1")
    chosen = max(names, key=lambda each: statistics.median(rates[each]))
    measured = tuple(
        Measured(
            name=each,
            rates=tuple(values),
            rate=spread_of(values),
            ratio=spread_of([mine / theirs for mine, theirs in zip(values, rates[chosen], strict=True)]),
        )
        for each, values in rates.items()
    )
    return Comparison(
        name=name, title=title, unit=unit, baseline=chosen, num_rounds=lengths[chosen], measured=measured
    )


def compare(
    candidates: Mapping[str, Callable[[], float | Sequence[Burst]]],
    *,
    name: str,
    title: str,
    unit: str,
    baseline: str | Sequence[str],
    repetitions: int,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    report: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Measure candidates alternately and compare them with a baseline.

    Args:
        candidates: by name. One returns either the work that it did in this process, and is timed here; or
            bursts that processes measured which ran at the same time, whose throughputs are added up.
        name: see `Comparison`.
        title: see `Comparison`.
        unit: see `Comparison`.
        baseline: see `summarize`.
        repetitions: rounds that count.
        warmups: rounds before them that do not.
        clock: seconds from some fixed time on.
        report: called with a line before every round.
    """

    def rate_of(candidate: Callable[[], float | Sequence[Burst]]) -> Callable[[], float]:
        def rate() -> float:
            began_seconds = clock()
            done = candidate()
            if isinstance(done, int | float):
                return throughput([Burst(work=done, seconds=clock() - began_seconds)])
            return throughput(done)

        return rate

    timed = {each: rate_of(candidate) for each, candidate in candidates.items()}
    rates = alternate(timed, repetitions=repetitions, warmups=warmups, report=report)
    return summarize(rates, name=name, title=title, unit=unit, baseline=baseline)


def throughput(bursts: Sequence[Burst]) -> float:
    """Work per second of processes that worked at the same time.

    Raises:
        ValueError: no bursts.
    """
    if not bursts:
        raise ValueError("bursts is empty: at least one process must have worked")
    return sum(burst.work / burst.seconds for burst in bursts)


def spread_of(values: Sequence[float]) -> Spread:
    """Median, least and greatest of at least one number."""
    return Spread(median=statistics.median(values), minimum=min(values), maximum=max(values))


def comparison_from_dict(data: Mapping[str, Any]) -> Comparison:
    """Inverse of `dataclasses.asdict`, also after a way through JSON."""
    measured = tuple(
        Measured(
            name=each["name"],
            rates=tuple(each["rates"]),
            rate=Spread(**each["rate"]),
            ratio=Spread(**each["ratio"]),
        )
        for each in data["measured"]
    )
    return Comparison(**{**data, "measured": measured})
