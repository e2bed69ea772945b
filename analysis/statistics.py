"""Statistics that hold for a few seeds: t-intervals, paired differences, the compressibility threshold.

Seeds are blocks; the sparsities of one parent share it and are not independent, so nothing here pools them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
from scipy import stats


class Interval(NamedTuple):
    """A mean with the bounds of its t-interval.

    Attributes:
        mean: None where n = 0.
        low: lower bound; None where n < 2, for one value tells nothing about its spread.
        high: upper bound; None where n < 2.
        n: number of values.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def mean_interval(values: Iterable[float | None], confidence: float = 0.95) -> Interval:
    """Mean with a two-sided t-interval: mean +- t_{n-1, (1 + confidence)/2} * s / sqrt(n).

    With n = 3 its true coverage at nominal 95% is 95% for normal values, of a z-interval 81%, of the
    bootstrap 75%. The bounds are not clipped to the range of the quantity.

    Args:
        values: numbers; NaN and None are left out (callers show how many cells they have against n).
        confidence: nominal coverage, (0, 1).

    Raises:
        ValueError: confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence!r}: must be in (0, 1)")
    present = [float(value) for value in values if value is not None and not math.isnan(value)]
    n = len(present)
    if n == 0:
        return Interval(None, None, None, 0)
    mean = math.fsum(present) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in present) / (n - 1)
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * math.sqrt(variance / n)
    return Interval(mean, mean - half_width, mean + half_width, n)


_Censoring = Literal["none", "left", "right", "missing"]


class Threshold(NamedTuple):
    """The compressibility threshold s* of one parent, as far as the tested sparsities tell.

    s* is the largest tested sparsity such that it and all lower ones (the parent included) reach the level.

    Attributes:
        randomization: of the parent.
        seed: of the parent.
        sparsity: s*; None where `censoring` is `left`, or `missing` before anything is known.
        first_failure: lowest tested sparsity above s* that fails; 0 is the parent; None where none fails.
        censoring: `none`: s* lies in the grid. `left`: the parent or the lowest sparsity fails, s* is below
            the grid. `right`: every tested sparsity passes, s* is `sparsity` or more. `missing`: an
            unfinished cell stands before the first failure, s* is `sparsity` or more.
    """

    randomization: float
    seed: int
    sparsity: float | None
    first_failure: float | None
    censoring: _Censoring


def compressibility_threshold(
    frame: pd.DataFrame, level: float = 0.99, *, relative_to_parent: bool = False
) -> tuple[Threshold, ...]:
    """s* of every parent: largest tested sparsity up to which training accuracy stays at the level.

    Args:
        frame: as of `analysis.results.load`.
        level: training accuracy to reach, (0, 1].
        relative_to_parent: the accuracy to reach is `level` times the parent's.

    Returns:
        Ordered by randomization, then seed.
    """
    if not 0 < level <= 1:
        raise ValueError(f"level = {level!r}: must be in (0, 1]")
    parents: dict[tuple[float, int], float | None] = {}
    prunings: dict[tuple[float, int], dict[float, float | None]] = {}
    for row in _records(frame):
        accuracy = None if row["status"] != "done" else _none_for_nan(row["train_accuracy"])
        key = (row["randomization"], row["seed"])
        parents.setdefault(key, None)
        sparsity = _sparsity(row)
        if sparsity is None:
            parents[key] = accuracy
        else:
            prunings.setdefault(key, {})[sparsity] = accuracy
    thresholds = []
    for (randomization, seed), parent in sorted(parents.items()):
        required = level if not relative_to_parent else None if parent is None else level * parent
        tested = sorted(prunings.get((randomization, seed), {}).items())
        found = _threshold(parent, tested, required)
        thresholds.append(Threshold(randomization, seed, *found))
    return tuple(thresholds)


def _threshold(
    parent: float | None, tested: list[tuple[float, float | None]], required: float | None
) -> tuple[float | None, float | None, _Censoring]:
    """s*, first failure and censoring from the accuracies by ascending sparsity."""
    if required is None or not tested:
        return None, None, "missing"
    if parent is not None and parent < required:
        return None, 0.0, "left"
    last_pass: float | None = None
    is_known = parent is not None  # every cell so far is finished
    for sparsity, accuracy in tested:
        if accuracy is None:
            is_known = False
        elif accuracy < required:
            if not is_known:
                return last_pass, sparsity, "missing"
            return last_pass, sparsity, "left" if last_pass is None else "none"
        elif is_known:
            last_pass = sparsity
    return last_pass, None, "right" if is_known else "missing"


class PairedDifference(NamedTuple):
    """A metric at one randomization minus the same at another, seed by seed.

    Attributes:
        metric: column.
        p_low: randomization of the minuend.
        p_high: randomization of the subtrahend.
        sparsity: target sparsity of both; None is the dense parent.
        seeds: seeds of which both cells are finished.
        differences: value at p_low minus value at p_high, per seed.
        interval: mean of the differences with its t-interval.
        unfinished_seeds: seeds that the grid has for either, but that lack a value for one of them.
    """

    metric: str
    p_low: float
    p_high: float
    sparsity: float | None
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    interval: Interval
    unfinished_seeds: tuple[int, ...]


def paired_difference(
    frame: pd.DataFrame,
    p_low: float,
    p_high: float,
    sparsity: float | None,
    *,
    metric: str = "train_accuracy",
    confidence: float = 0.95,
) -> PairedDifference:
    """Mean over shared seeds of metric(p_low) - metric(p_high), with a t-interval; seeds are the blocks.

    Args:
        frame: as of `analysis.results.load`.
        p_low: randomization.
        p_high: randomization.
        sparsity: target sparsity; None compares the dense parents.
        metric: a float column of the frame.
        confidence: of the interval, (0, 1).
    """
    values: dict[float, dict[int, float]] = {p_low: {}, p_high: {}}
    asked: set[int] = set()
    for row in _records(frame):
        if row["randomization"] in values and _sparsity(row) == sparsity:
            asked.add(row["seed"])
            if row["status"] == "done" and not math.isnan(row[metric]):
                values[row["randomization"]][row["seed"]] = row[metric]
    seeds = sorted(values[p_low].keys() & values[p_high].keys())
    differences = tuple(values[p_low][seed] - values[p_high][seed] for seed in seeds)
    return PairedDifference(
        metric=metric,
        p_low=p_low,
        p_high=p_high,
        sparsity=sparsity,
        seeds=tuple(seeds),
        differences=differences,
        interval=mean_interval(differences, confidence),
        unfinished_seeds=tuple(sorted(asked - set(seeds))),
    )


def headline_place(frame: pd.DataFrame) -> tuple[float, float, float] | None:
    """Where the headline compares: (lowest p, highest p, sparsity), by a rule that looks at no result.

    The sparsity is the highest one that the grid has for every seed of both randomizations, finished or not.
    None where the grid has a single randomization or no such sparsity.
    """
    asked: dict[tuple[float, float | None], set[int]] = {}
    for row in _records(frame):
        asked.setdefault((row["randomization"], _sparsity(row)), set()).add(row["seed"])
    randomizations = sorted({randomization for randomization, _ in asked})
    if len(randomizations) < 2:
        return None
    ends = (randomizations[0], randomizations[-1])
    seeds = {seed for (randomization, _), some in asked.items() if randomization in ends for seed in some}
    shared = [
        sparsity
        for sparsity in {sparsity for _, sparsity in asked}
        if sparsity is not None and all(asked.get((end, sparsity)) == seeds for end in ends)
    ]
    return (*ends, max(shared)) if shared else None


def _records(frame: pd.DataFrame) -> Sequence[dict[str, Any]]:
    records: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    return records


def _sparsity(row: dict[str, Any]) -> float | None:
    """Target sparsity of a pruning, None of a training."""
    return None if row["phase"] == "train" else float(row["sparsity_target"])


def _none_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
