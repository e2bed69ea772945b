"""`rcsweep export`, `report`, `figure`: what came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from analysis.figures import FIGURE_NAMES
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    Location,
    UsageError,
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
    """Draw one figure into an image file: .svg, .pdf or .png. Needs Chromium.

    Most figures have variants, chosen by --set CONTROL=VALUE:

      tradeoff    metric, value (absolute, drop), axis (sparsity, halvings)
      heatmap     metric
      threshold   level (0.99, 0.95, 0.9)
      gap         labels (true, noisy)
      curves      metric (train_accuracy, train_loss), axis (step, epoch, wall_seconds), lines (mean, seed)
      surgery     parent (cell id of a training)
    """

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    figure: Positional[Annotated[str, arg(metavar="{" + ",".join(FIGURE_NAMES) + "}")]]
    """Which figure."""
    out: Path
    """Image file to write."""
    choices: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="CONTROL=VALUE")] = ()
    """Choose a variant, e.g. --set axis=halvings --set metric=test_accuracy."""
    dark: bool = False
    """Draw for dark paper."""
    width: Annotated[int, arg(metavar="PX")] = 900
    """Of the image; a .png has twice as many pixels."""
    height: Annotated[int | None, arg(metavar="PX")] = None
    """The same; without it, what the figure needs."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        from analysis.exhibits.gallery import EXHIBITS
        from analysis.experiment_data import ExperimentData
        from analysis.images import check_image, write_image

        if self.figure not in EXHIBITS:
            raise ValueError(f"figure = {self.figure!r}: must be one of {', '.join(FIGURE_NAMES)}")
        choices = parse_choices(self.choices)
        check_image(self.out, self.width, self.height)
        kind = EXHIBITS[self.figure]
        data = ExperimentData.load(find_experiment(self.experiment, self.storage, READER_PATIENCE_SECONDS))
        try:
            kind.complete(data, choices)
        except ValueError as error:
            raise UsageError(f"--set {error}") from error
        drawn = kind.exhibit(data, choices).figure
        write_image(drawn, self.out, dark=self.dark, width_px=self.width, height_px=self.height)
        print(f"wrote {self.out}")
        return EXIT_COMPLETE


def parse_choices(texts: Iterable[str]) -> dict[str, str]:
    """Value by control of `CONTROL=VALUE` texts.

    Raises:
        UsageError: a text is none, or a control is chosen twice.
    """
    choices: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise UsageError(f"--set {text}: must be CONTROL=VALUE, e.g. axis=halvings")
        if name in choices:
            raise UsageError(f"--set {text}: {name} is chosen already ({name}={choices[name]}); give it once")
        choices[name] = value
    return choices
