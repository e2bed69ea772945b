"""What an exhibit is: a figure with its caption, the table of its numbers, and the controls of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import plotly.graph_objects as go

from analysis.experiment_data import ExperimentData


class Table(NamedTuple):
    """The numbers behind a figure; pages round them and may leave rows out.

    Attributes:
        label: what the table holds.
        header: of the columns.
        rows: all of them: numbers, not rounded; strings; None where there is nothing.
        num_label_columns: leading columns that say what a row is about.
    """

    label: str
    header: tuple[str, ...]
    rows: list[tuple[object, ...]]
    num_label_columns: int = 1


class Exhibit(NamedTuple):
    """A figure as it is shown.

    Attributes:
        figure: in light colours, as wide as its container.
        caption: what is drawn, n, and what is missing.
        table: the same in numbers.
        min_width_px: on narrower pages the figure scrolls.
    """

    figure: go.Figure
    caption: str
    table: Table
    min_width_px: int = 340


class Control(NamedTuple):
    """Something that can be chosen about a figure.

    Attributes:
        name: in addresses and on the command line, e.g. `axis`.
        label: for people, e.g. `Sparsity axis`.
        options: (value, label); values may stand in an address; the first is the default.
    """

    name: str
    label: str
    options: tuple[tuple[str, str], ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Of the options, the default first."""
        return tuple(value for value, _ in self.options)


@dataclass(frozen=True, kw_only=True)
class ExhibitKind:
    """How one figure is made of any experiment.

    Attributes:
        name: as `rcsweep figure` knows it.
        title: heading for people.
        controls: of an experiment: some options depend on what there is.
        draw: from a value of every control; `exhibit` is to be called, which checks and completes them.
    """

    name: str
    title: str
    controls: Callable[[ExperimentData], tuple[Control, ...]]
    draw: Callable[[ExperimentData, Mapping[str, str]], Exhibit]

    def exhibit(self, data: ExperimentData, choices: Mapping[str, str] | None = None) -> Exhibit:
        """The exhibit of an experiment.

        Args:
            data: of the experiment.
            choices: value by control; the default of those that are missing.

        Raises:
            ValueError: no such control or value; the message names the options.
        """
        return self.draw(data, self.complete(data, choices or {}))

    def complete(self, data: ExperimentData, choices: Mapping[str, str]) -> dict[str, str]:
        """A value of every control; arguments and errors as of `exhibit`."""
        return complete(choices, self.controls(data), self.name)


def complete(choices: Mapping[str, str], controls: Sequence[Control], name: str) -> dict[str, str]:
    """A value of every control: the one that was chosen, else the default.

    Args:
        choices: value by control.
        controls: of the figure.
        name: of the figure, for the message.

    Raises:
        ValueError: no such control or value; the message names the options.
    """
    by_name = {control.name: control for control in controls}
    for chosen, value in choices.items():
        if chosen not in by_name:
            known = f"its controls are {', '.join(by_name)}" if by_name else "it has no controls"
            raise ValueError(f"{chosen}={value}: {name} has no control {chosen!r}; {known}")
        if value not in by_name[chosen].values:
            some = _listed(by_name[chosen].values)
            raise ValueError(f"{chosen}={value}: {chosen} of {name} must be one of {some}")
    return {control.name: choices.get(control.name, control.values[0]) for control in controls}


def _listed(values: Sequence[str], most: int = 20) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def no_controls(data: ExperimentData) -> tuple[Control, ...]:
    """Of a figure that has one form."""
    return ()
