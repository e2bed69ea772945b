"""The list of experiments of a folder."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import page_path
from analysis.dashboard.data_table import table
from analysis.dashboard.experiments import Summary
from analysis.dashboard.filters import Filters
from analysis.dashboard.marks import notice, status_mark

TITLE = "Experiments"


def content(summaries: Sequence[Summary], location: str, filters: Filters) -> Component:
    """One row an experiment.

    Args:
        summaries: of the experiments.
        location: of their folder.
        filters: what links keep of the address.
    """
    listing: Component = notice(
        f"{location}: no experiment here yet. The list fills when one begins: "
        f"rcsweep run digits --storage {location}"
    )
    if summaries:
        header = ("experiment", "state", "recipe", "finished", "failed", "cells")
        rows = [_row(summary, filters) for summary in summaries]
        listing = table(header, rows, label="Experiments", num_label_columns=3)
    return html.Div(
        [
            html.H1(TITLE, tabIndex=-1),
            html.P(location, className="muted"),
            html.Div(listing, id="experiments"),
        ]
    )


def _row(summary: Summary, filters: Filters) -> tuple[object, ...]:
    link = html.A(summary.name, href=page_path(summary.name, "", Filters(is_live=filters.is_live)))
    if summary.problem:
        return link, html.Span(summary.problem, className="error"), "–", None, None, None
    if summary.is_running:
        state = status_mark("running")
    elif summary.num_done == summary.num_cells:
        state = status_mark("done")
    else:
        state = status_mark("failed" if summary.num_failed else "missing")
    return link, state, summary.recipe, summary.num_done, summary.num_failed, summary.num_cells
