"""`rcsweep export`, `report`, `figure`: what came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from analysis.figures import FIGURE_NAMES
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    Location,
    find_experiment,
)


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the result table: one row a cell, missing and failed cells included."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    out: Path
    """File to write: .csv, .parquet or .json."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from analysis import results

        frame = results.load(find_experiment(self.experiment, self.storage, READER_PATIENCE_SECONDS))
        results.export(frame, self.out)
        print(f"wrote {len(frame)} rows to {self.out}")
        return EXIT_COMPLETE


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the report: one HTML file with headline, figures and tables that needs no network."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    out: Path
    """HTML file to write."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from analysis.report import write_report

        experiment = find_experiment(self.experiment, self.storage, READER_PATIENCE_SECONDS)
        print(f"wrote {write_report(experiment, self.out)}")
        return EXIT_COMPLETE


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Draw one figure into an image file: .svg, .pdf or .png. Needs Chromium."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    figure: Positional[Annotated[str, arg(metavar="{" + ",".join(FIGURE_NAMES) + "}")]]
    """Which figure."""
    out: Path
    """Image file to write."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from analysis.images import write_image

        experiment = find_experiment(self.experiment, self.storage, READER_PATIENCE_SECONDS)
        print(f"wrote {write_image(experiment, self.figure, self.out)}")
        return EXIT_COMPLETE
