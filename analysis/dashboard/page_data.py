"""What a page is made from, and what a page is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dash.development.base_component import Component

from analysis.dashboard.drawing import Drawings
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.filters import Filters
from analysis.dashboard.live_experiment import Snapshot


@dataclass(frozen=True, kw_only=True)
class PageData:
    """Everything that a page may show.

    Attributes:
        snapshot: of the experiment.
        experiments: all that are served, for comparisons and commands.
        drawings: figures that were drawn before.
        is_dark: whether figures are for dark paper.
        cell_id: on the page of one trial; not looked up yet.
    """

    snapshot: Snapshot
    experiments: Experiments
    drawings: Drawings = field(default_factory=Drawings)
    is_dark: bool = False
    cell_id: str = ""

    @property
    def name(self) -> str:
        """Of the experiment, as addresses have it."""
        return self.snapshot.name


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of an experiment.

    Attributes:
        slug: in its address; empty for the overview.
        title: heading and link.
        content: its components. Pure, except for files of single cells that it reads through the snapshot.
    """

    slug: str
    title: str
    content: Callable[[PageData, Filters], Component]
