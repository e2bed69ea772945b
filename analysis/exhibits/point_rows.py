"""Points of the grid as rows of a table: mean, interval, n, what is missing, and every seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from analysis.grid import SeedValue, sparsity_label
from analysis.statistics import Interval

# What of a point of the grid stands before its values.
POINT_COLUMNS = ("p", "S")


class Point(Protocol):
    """What a point has: `GridCell` and `TradeoffPoint` are such."""

    @property
    def sparsity(self) -> float | None:
        """Target; None is the dense parent."""
        ...

    @property
    def values(self) -> tuple[SeedValue, ...]:
        """One a finished seed."""
        ...

    @property
    def interval(self) -> Interval:
        """Of the values."""
        ...

    @property
    def num_seeds(self) -> int:
        """Cells asked for."""
        ...

    @property
    def unfinished(self) -> str:
        """What is not finished, in words."""
        ...


def seeds_of(points: Iterable[Point]) -> list[int]:
    """Seeds with a value at any point, ascending: these get a column each."""
    return sorted({value.seed for point in points for value in point.values})


def value_columns(seeds: Sequence[int], mean: str = "mean") -> tuple[str, ...]:
    """Names of the columns of `value_row`."""
    return (mean, "low", "high", "n", "of", "unfinished", *(f"seed {seed}" for seed in seeds))


def value_row(point: Point, seeds: Sequence[int]) -> tuple[object, ...]:
    """Mean, bounds of its interval, n, cells asked for, what is not finished, and the value of every seed."""
    by_seed = {value.seed: value.value for value in point.values}
    interval = point.interval
    return (
        interval.mean,
        interval.low,
        interval.high,
        interval.n,
        point.num_seeds,
        point.unfinished,
        *(by_seed.get(seed) for seed in seeds),
    )


def point_row(randomization: float, point: Point, seeds: Sequence[int]) -> tuple[object, ...]:
    """The same, with the point's place before it."""
    return (randomization, sparsity_label(point.sparsity), *value_row(point, seeds))
