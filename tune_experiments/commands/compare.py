"""`rcsweep compare`: paired differences of two sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    Location,
    UsageError,
    find_experiment,
    print_json,
)

if TYPE_CHECKING:
    from analysis.comparison import Comparison

_HEADER = ("p", "S", "difference", "low", "high", "n", "of", "every seed")


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Show paired differences of two sweeps: cells of equal randomization, sparsity and seed."""

    first: Location
    """Name of the experiment to compare with, its folder, or its URI."""
    second: Positional[Annotated[str, arg(metavar="NAME|DIR|URI")]]
    """Name of the other one; differences are its values minus the first one's."""
    metric: Annotated[str, arg(metavar="COLUMN")] = "train_accuracy"
    """train_accuracy, test_accuracy, accuracy_kept, accuracy_redrawn or accuracy_true."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from analysis.comparison import compare
        from analysis.grid import METRICS
        from analysis.results import experiment_name, load

        if self.metric not in METRICS:
            raise UsageError(f"--metric {self.metric}: must be one of {', '.join(METRICS)}")
        folders = [
            find_experiment(name, self.storage, READER_PATIENCE_SECONDS) for name in (self.first, self.second)
        ]
        frames = [load(folder) for folder in folders]
        names = (experiment_name(folders[0]), experiment_name(folders[1]))
        if names[0] == names[1]:  # two storages may each have a sweep of that name
            names = (self.first, self.second)
        found = compare(frames[0], frames[1], names=names, metric=self.metric)
        if not found.cells:
            raise ValueError(
                f"{names[0]} and {names[1]} have no cell of equal randomization, sparsity and seed; "
                "run one of them with the other's --randomization, --sparsity and --seeds"
            )
        if self.json:
            print_json(to_dict(found))
        else:
            print("\n".join(to_lines(found)))
        return EXIT_COMPLETE


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON has it; intervals are spelled out, seeds stand beside their differences."""
    cells = [
        {
            "randomization": cell.randomization,
            "sparsity_target": cell.sparsity,
            "mean_difference": cell.interval.mean,
            "low": cell.interval.low,
            "high": cell.interval.high,
            "n": cell.interval.n,
            "num_shared": cell.num_shared,
            "num_only_first": cell.num_only_first,
            "num_only_second": cell.num_only_second,
            "differences": [
                {"seed": seed, "difference": difference}
                for seed, difference in zip(cell.seeds, cell.differences, strict=True)
            ],
        }
        for cell in comparison.cells
    ]
    return comparison._asdict() | {"differing": list(comparison.differing), "cells": cells}


def to_lines(comparison: Comparison) -> list[str]:
    """The comparison as lines for a terminal."""
    from analysis.comparison import what_is_compared
    from analysis.grid import METRICS, sparsity_label

    rows: list[tuple[str, ...]] = [_HEADER]
    for cell in comparison.cells:
        rows.append(
            (
                f"{cell.randomization:g}",
                sparsity_label(cell.sparsity),
                *(_signed(value) for value in cell.interval[:3]),
                str(cell.interval.n),
                str(cell.num_shared),
                ", ".join(
                    f"{seed}: {_signed(difference)}"
                    for seed, difference in zip(cell.seeds, cell.differences, strict=True)
                )
                or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER) - 1)]
    lines = [
        "  ".join([*(part.rjust(width) for part, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    return [
        f"{METRICS[comparison.metric]}: {comparison.second} minus {comparison.first}, mean over paired "
        f"seeds with {comparison.confidence:.0%} t-interval",
        "",
        *lines,
        "",
        what_is_compared(comparison),
    ]


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
