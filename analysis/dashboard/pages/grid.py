"""Grid: the heatmap, and the same grid as links to its trials."""

from __future__ import annotations

from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import page_path
from analysis.dashboard.data_table import table
from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters, level_text, matching
from analysis.dashboard.marks import aria
from analysis.dashboard.page_data import Page, PageData
from analysis.figures.theme import STATUSES
from analysis.grid import GridCell, sparsity_label, summarize

_INTRODUCTION = "Choose a square, or a cell of the table below, for the trials behind it."


def content(data: PageData, filters: Filters) -> Component:
    """The heatmap, whose squares lead to trials (assets/dashboard.js), and links that do so, too."""
    more = [html.H2("Trials by place in the grid"), html.Div(_links(data, filters), id="grid-links")]
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["heatmap"], more)


def _links(data: PageData, filters: Filters) -> Component:
    summary = summarize(matching(data.snapshot.data.frame, filters))
    header = ["p", *(sparsity_label(level) for level in summary.sparsities)]
    rows = [
        [level_text(randomization), *(_link(data, filters, cell) for cell in cells)]
        for randomization, cells in summary.rows
    ]
    return table(header, rows, label="Finished of all trials, by randomization and sparsity")


def _link(data: PageData, filters: Filters, cell: GridCell) -> Component | str:
    if cell.num_seeds == 0:
        return "–"
    here = replace(
        filters.place_only(), randomizations=(cell.randomization,), sparsities=(cell.sparsity,), statuses=()
    )
    mark = next(
        (STATUSES[status].icon for status, count in _open_counts(cell) if count), STATUSES["done"].icon
    )
    place = f"p = {level_text(cell.randomization)}, {_sparsity_text(cell.sparsity)}"
    state = cell.unfinished or "all finished"
    return html.A(
        f"{mark} {cell.num_done} of {cell.num_seeds}",
        href=page_path(data.name, "trials", here),
        **aria(label=f"{cell.num_done} of {cell.num_seeds} finished: trials at {place}; {state}"),
    )


def _open_counts(cell: GridCell) -> tuple[tuple[str, int], ...]:
    return (("failed", cell.num_failed), ("running", cell.num_running), ("missing", cell.num_missing))


def _sparsity_text(sparsity: float | None) -> str:
    return "dense" if sparsity is None else f"S = {level_text(sparsity)}"


PAGE = Page(slug="grid", title="Grid", content=content)
