"""Two sweeps side by side: differences between cells of equal randomization, sparsity and seed."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis.grid import METRICS
from analysis.statistics import Interval, mean_interval

_Place = tuple[float, float | None]
"""Randomization and target sparsity; None is the dense parent."""


class PairedCell(NamedTuple):
    """One point of the grid that both sweeps have.

    Attributes:
        randomization: level.
        sparsity: target; None is the dense parent.
        seeds: of the pairs with a value in both sweeps.
        differences: second minus first, one a seed.
        interval: mean of the differences with its t-interval; seeds are the blocks.
        num_shared: seeds that both sweeps were asked for; those without a pair are unfinished or not defined.
        num_only_first: seeds that only the first sweep has at this point.
        num_only_second: seeds that only the second sweep has at this point.
    """

    randomization: float
    sparsity: float | None
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    interval: Interval
    num_shared: int
    num_only_first: int
    num_only_second: int


class Comparison(NamedTuple):
    """Paired differences of two sweeps.

    Attributes:
        first: name of the minuend's sweep.
        second: name of the sweep that it is subtracted from.
        metric: a key of `analysis.grid.METRICS`.
        confidence: of the intervals.
        cells: points that both have, by randomization and sparsity, dense first.
        num_only_first: cells of the first sweep without a counterpart of equal randomization, sparsity and
            seed.
        num_only_second: the same for the second.
        num_unpaired: cells that both have, but without a value in one of them.
        differing: columns that say what was run and whose values differ: `recipe`, `dataset`, `model`,
            `pruner`, `noise`.
        num_other_labels: pairs trained on different labels, by `label_sha256`.
    """

    first: str
    second: str
    metric: str
    confidence: float
    cells: tuple[PairedCell, ...]
    num_only_first: int
    num_only_second: int
    num_unpaired: int
    differing: tuple[str, ...]
    num_other_labels: int

    @property
    def num_pairs(self) -> int:
        """Pairs with a value on both sides."""
        return sum(cell.interval.n for cell in self.cells)


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    names: tuple[str, str] = ("first", "second"),
    metric: str = "train_accuracy",
    confidence: float = 0.95,
) -> Comparison:
    """Paired differences, second minus first, over cells of equal (randomization, sparsity, seed).

    Args:
        first: as of `analysis.results.load`.
        second: the same of another sweep.
        names: of the two sweeps.
        metric: a key of `analysis.grid.METRICS`.
        confidence: of the t-intervals, (0, 1).

    Raises:
        ValueError: unknown metric, or several cells of one sweep share randomization, sparsity and seed.
    """
    if metric not in METRICS:
        raise ValueError(f"metric = {metric!r}: must be one of {', '.join(METRICS)}")
    sides = [_cells_by_place(frame, name, metric) for frame, name in zip((first, second), names, strict=True)]
    cells, num_other_labels = [], 0
    for place in sorted(
        sides[0].keys() & sides[1].keys(), key=lambda p: (p[0], -1.0 if p[1] is None else p[1])
    ):
        mine, theirs = sides[0][place], sides[1][place]
        shared = sorted(mine.keys() & theirs.keys())
        if not shared:
            continue
        differences: dict[int, float] = {}
        for seed in shared:
            (value, labels), (other_value, other_labels) = mine[seed], theirs[seed]
            if value is not None and other_value is not None:
                differences[seed] = other_value - value
                num_other_labels += labels != other_labels
        cells.append(
            PairedCell(
                randomization=place[0],
                sparsity=place[1],
                seeds=tuple(differences),
                differences=tuple(differences.values()),
                interval=mean_interval(differences.values(), confidence),
                num_shared=len(shared),
                num_only_first=len(mine) - len(shared),
                num_only_second=len(theirs) - len(shared),
            )
        )
    num_shared = sum(cell.num_shared for cell in cells)
    return Comparison(
        first=names[0],
        second=names[1],
        metric=metric,
        confidence=confidence,
        cells=tuple(cells),
        num_only_first=len(first) - num_shared,
        num_only_second=len(second) - num_shared,
        num_unpaired=num_shared - sum(len(cell.seeds) for cell in cells),
        differing=_differing(first, second),
        num_other_labels=num_other_labels,
    )


_Value = tuple[float | None, str | None]
"""The metric, None where the cell has none; and the labels' hash."""


def _cells_by_place(frame: pd.DataFrame, name: str, metric: str) -> dict[_Place, dict[int, _Value]]:
    columns = [
        "cell_id",
        "phase",
        "randomization",
        "sparsity_target",
        "seed",
        "status",
        "label_sha256",
        metric,
    ]
    places: dict[_Place, dict[int, _Value]] = {}
    for cell_id, phase, randomization, target, seed, status, labels, value in frame[columns].itertuples(
        index=False, name=None
    ):
        place = (float(randomization), None if phase == "train" else float(target))
        seeds = places.setdefault(place, {})
        if seed in seeds:
            raise ValueError(
                f"{name}: {cell_id} is not the only cell of its randomization, sparsity and seed; "
                "compare tables that hold one pruner and one kind of noise"
            )
        is_there = status == "done" and not pd.isna(value)
        seeds[int(seed)] = (float(value) if is_there else None, None if pd.isna(labels) else str(labels))
    return places


def _differing(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, ...]:
    return tuple(
        column
        for column in ("recipe", "dataset", "model", "pruner", "noise")
        if set(first[column].dropna()) != set(second[column].dropna())
    )


def what_is_compared(comparison: Comparison) -> str:
    """Sentences on n, on everything without a counterpart, and on what makes the two hard to compare."""
    shared = comparison.num_pairs + comparison.num_unpaired
    sentences = [f"n = {comparison.num_pairs} pairs of equal randomization, sparsity and seed."]
    if comparison.num_unpaired:
        sentences.append(
            f"{comparison.num_unpaired} of {shared} shared cells have no value in one of the sweeps and are "
            "left out."
        )
    alone = [
        f"{number} of {name}"
        for number, name in (
            (comparison.num_only_first, comparison.first),
            (comparison.num_only_second, comparison.second),
        )
        if number
    ]
    if alone:
        sentences.append(f"Cells without a counterpart: {', '.join(alone)}.")
    if comparison.differing:
        sentences.append(f"The sweeps differ in {', '.join(comparison.differing)}.")
    if comparison.num_other_labels:
        sentences.append(
            f"{comparison.num_other_labels} of {comparison.num_pairs} pairs were trained on different labels."
        )
    return " ".join(sentences)
