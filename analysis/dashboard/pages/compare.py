"""Compare: paired differences against another experiment."""

from __future__ import annotations

from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import download_path
from analysis.dashboard.drawing import for_page
from analysis.dashboard.exhibit_block import block, select
from analysis.dashboard.filters import Filters
from analysis.dashboard.live_experiment import Snapshot
from analysis.dashboard.marks import notice
from analysis.dashboard.page_data import Page, PageData
from analysis.exhibits import comparison
from analysis.exhibits.exhibit import Table

_INTRODUCTION = (
    "Cells of equal randomization, sparsity and seed are paired; differences are this experiment's values "
    "minus the other one's."
)


def content(data: PageData, filters: Filters) -> Component:
    """A choice of the other experiment, and the differences once one is chosen."""
    others = [name for name in data.experiments.names_beside() if name != data.name]
    options = [("", "choose one"), *((name, name) for name in others)]
    if filters.other not in (value for value, _ in options):
        options.append((filters.other, filters.other))
    choice = html.Form(
        [select("with", "Compare with", options, filters.other)], className="controls", id="controls-with"
    )
    return html.Div(
        [
            html.H1("Compare", tabIndex=-1),
            html.P(_INTRODUCTION, className="muted"),
            choice,
            notice(
                "Experiments of the same parent folder can be chosen; one that lies deeper is named in the "
                "address: ?with=old/digits."
                if others or filters.other
                else "There is no other experiment in the parent folder."
            ),
            html.Div(_differences(data, filters), id="differences"),
        ]
    )


def _differences(data: PageData, filters: Filters) -> list[Component]:
    if not filters.other:
        return []
    other = data.experiments.find_beside(filters.other)
    if other is None:
        return [notice(f"There is no experiment {filters.other!r} in the parent folder.")]
    shot, mine = other.snapshot(), data.snapshot
    if not shot.states or not mine.states:
        return [notice(f"{filters.other if not shot.states else mine.name}: nothing here yet.")]
    choices = filters.choices_of("comparison")
    key = (
        *((each.location, each.version) for each in (shot, mine)),
        tuple(sorted(choices.items())),
        data.is_dark,
    )
    return [
        block(
            "comparison",
            comparison.TITLE,
            controls=lambda: comparison.CONTROLS,
            draw=lambda: data.drawings.get(
                key,
                lambda: for_page(
                    comparison.draw(shot.data, mine.data, choices),
                    is_dark=data.is_dark,
                    revision=str(sorted(choices.items())),
                ),
            ),
            choices=choices,
            csv_address=download_path(data.name, "comparison.csv", replace(filters, page=1)),
        )
    ]


def comparison_table(mine: Snapshot, other: Snapshot, filters: Filters) -> Table:
    """The differences as a table, for the file.

    Raises:
        ValueError: a control's value is none of its options.
    """
    return comparison.draw(other.data, mine.data, filters.choices_of("comparison")).table


PAGE = Page(slug="compare", title="Compare", content=content)
