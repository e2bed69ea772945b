"""Turns, rates and ratios, with a clock that is set by hand."""

import dataclasses
import json

import pytest

from benchmarks.harness import (
    Burst,
    Spread,
    alternate,
    compare,
    comparison_from_dict,
    spread_of,
    summarize,
    throughput,
)


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def slow_machine(clock, work, durations):
    """A candidate that does `work` and takes the given times, one a call."""
    left = iter(durations)

    def candidate():
        clock.seconds += next(left)
        return work

    return candidate


def test_candidates_take_turns_and_the_warm_up_is_dropped():
    calls = []

    def candidate(name):
        return lambda: calls.append(name) or len(calls)

    outcomes = alternate({"a": candidate("a"), "b": candidate("b")}, repetitions=2, warmups=1)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert outcomes == {"a": [3, 5], "b": [4, 6]}


def test_rounds_are_reported():
    lines = []
    alternate({"a": lambda: 0}, repetitions=2, warmups=1, report=lines.append)
    assert lines == ["warm-up", "round 1 of 2", "round 2 of 2"]


def test_rates_and_ratios_per_round_by_hand():
    clock = Clock()
    # 10 units of work: 10, 5 and 2 a second; the warm-up of 99 s does not count.
    baseline = slow_machine(clock, 10, [99, 1, 2, 5])
    # 30 units: 15, 10 and 3 a second.
    other = slow_machine(clock, 30.0, [99, 2, 3, 10])
    result = compare(
        {"base": baseline, "other": other},
        name="n",
        title="t",
        unit="steps/s",
        baseline="base",
        repetitions=3,
        clock=clock,
    )
    base, measured = result.measured
    assert base.rates == (10, 5, 2)
    assert base.ratio == Spread(median=1, minimum=1, maximum=1)
    assert measured.rates == (15, 10, 3)
    assert measured.rate == Spread(median=10, minimum=3, maximum=15)
    assert measured.ratio == Spread(median=1.5, minimum=1.5, maximum=2)
    assert result.ratio("other") == measured.ratio
    assert (result.baseline, result.num_rounds, result.unit) == ("base", 3, "steps/s")


def test_drift_of_the_machine_cancels_in_the_ratio():
    clock = Clock()
    result = compare(
        {
            "base": slow_machine(clock, 1, [1, 2, 4, 8, 16]),
            "twice": slow_machine(clock, 2, [1, 2, 4, 8, 16]),
        },
        name="n",
        title="t",
        unit="u",
        baseline="base",
        repetitions=5,
        warmups=0,
        clock=clock,
    )
    assert result.ratio("twice") == Spread(median=2, minimum=2, maximum=2)
    assert result.measured[1].rate == Spread(median=0.5, minimum=0.125, maximum=2)


def test_throughputs_of_processes_that_work_together_add_up():
    bursts = [Burst(work=100, seconds=2), Burst(work=90, seconds=3)]
    assert throughput(bursts) == 80
    result = compare(
        {"two": lambda: bursts}, name="n", title="t", unit="u", baseline="two", repetitions=1, warmups=0
    )
    assert result.measured[0].rates == (80,)


def test_the_fastest_of_several_baselines_is_taken_by_its_median():
    rates = {"slow": [1, 9, 1], "fast": [2, 2, 2], "mine": [4, 4, 4]}
    result = summarize(rates, name="n", title="t", unit="u", baseline=("slow", "fast"))
    assert result.baseline == "fast"
    assert result.ratio("mine").median == 2


def test_median_of_an_even_number():
    assert spread_of([4, 1, 2, 3]) == Spread(median=2.5, minimum=1, maximum=4)


def test_comparison_survives_json():
    rates = {"a": [1.0, 3.0], "b": [2.0, 4.5]}
    result = summarize(rates, name="n", title="t", unit="u", baseline="a")
    assert comparison_from_dict(json.loads(json.dumps(dataclasses.asdict(result)))) == result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": {}, "repetitions": 1}, "candidates is empty"),
        ({"candidates": {"a": int}, "repetitions": 0}, "repetitions = 0: must be at least 1"),
        ({"candidates": {"a": int}, "repetitions": 1, "warmups": -1}, "warmups = -1: must be at least 0"),
    ],
)
def test_alternate_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        alternate(**arguments)


@pytest.mark.parametrize(
    ("rates", "baseline", "message"),
    [
        ({"a": [1.0]}, "b", "baseline = 'b': must be among the candidates, a"),
        ({"a": [1.0]}, (), "must be among the candidates"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "a", "rounds by candidate"),
        ({"a": []}, "a", "rounds by candidate"),
    ],
)
def test_summarize_says_what_is_wrong(rates, baseline, message):
    with pytest.raises(ValueError, match=message):
        summarize(rates, name="n", title="t", unit="u", baseline=baseline)


@pytest.mark.parametrize(("work", "seconds"), [(0, 1), (1, 0), (float("nan"), 1)])
def test_a_burst_without_work_or_time_is_refused(work, seconds):
    with pytest.raises(ValueError, match="must be above 0"):
        Burst(work=work, seconds=seconds)


def test_no_bursts_are_no_throughput():
    with pytest.raises(ValueError, match="bursts is empty"):
        throughput([])
