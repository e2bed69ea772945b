"""Trials: every cell, filtered, sorted, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import download_path, page_path, trial_path
from analysis.dashboard.data_table import scrolling
from analysis.dashboard.filter_bar import filter_bar
from analysis.dashboard.filters import Filters, level_text, matching
from analysis.dashboard.marks import aria, component_id, number_text, status_mark
from analysis.dashboard.page_data import Page, PageData
from rc_core.durations import format_seconds

ROWS_PER_PAGE = 50
_MAX_ERROR = 90

# Column of the table of results: heading.
COLUMNS: dict[str, str] = {
    "cell_id": "cell",
    "status": "status",
    "randomization": "p",
    "sparsity_target": "S",
    "seed": "seed",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "accuracy_kept": "on kept labels",
    "accuracy_redrawn": "on redrawn labels",
    "wall_seconds": "time",
    "error": "error",
}
# A click on it does not go to the top of the page (assets/dashboard.js).
_KEEPS_SCROLL: dict[str, Any] = {"data-keep": "scroll"}
_LABELS = ("cell_id", "status", "error")


def content(data: PageData, filters: Filters) -> Component:
    """The table; headings sort it, cells lead to their own page."""
    rows = sorted_rows(matching(data.snapshot.data.frame, filters), filters.sort)
    num_pages = max(1, -(-len(rows) // ROWS_PER_PAGE))
    number = min(filters.page, num_pages)
    shown = rows.iloc[(number - 1) * ROWS_PER_PAGE : number * ROWS_PER_PAGE]
    body = [_row(data, filters, record) for record in shown[list(COLUMNS)].to_dict("records")]
    body = body or [html.Tr(html.Td("No cell matches.", colSpan=len(COLUMNS)))]
    head = html.Tr([_heading(data, filters, column) for column in COLUMNS])
    listing = html.Table([html.Thead(head), html.Tbody(body, id="trials")], **aria(label="Trials"))
    return html.Div(
        [
            html.H1("Trials", tabIndex=-1),
            filter_bar(data, filters, "trials"),
            scrolling(listing, "Trials", "trials"),
            html.Nav(
                _pager(data, filters, number, num_pages),
                className="pager",
                id="pager",
                **aria(label="Pages of trials"),
            ),
            html.P(
                html.A(
                    "Download these rows with all columns as CSV",
                    id="csv-trials",
                    href=download_path(data.name, "trials.csv", replace(filters, page=1)),
                    download="trials.csv",
                )
            ),
        ]
    )


def sorted_rows(frame: pd.DataFrame, sort: str) -> pd.DataFrame:
    """The rows by a column, `-column` for descending order, missing values last; empty: in grid order.

    Raises:
        ValueError: no such column.
    """
    if not sort:
        return frame
    column = sort.removeprefix("-")
    if column not in COLUMNS:
        raise ValueError(
            f"sort = {sort!r}: must be one of {', '.join(COLUMNS)}, with - before it for descending"
        )
    return frame.sort_values(column, ascending=not sort.startswith("-"), kind="stable", na_position="last")


def _heading(data: PageData, filters: Filters, column: str) -> Component:
    is_ascending, is_descending = filters.sort == column, filters.sort == f"-{column}"
    order = "ascending" if is_ascending else "descending" if is_descending else "none"
    arrow = {"ascending": " ↑", "descending": " ↓", "none": ""}[order]
    other = replace(filters, sort=f"-{column}" if is_ascending else column, page=1)
    link = html.A(
        [COLUMNS[column], html.Span(arrow, **aria(hidden="true"))],
        id=f"sort-{column}",
        href=page_path(data.name, "trials", other),
        **_KEEPS_SCROLL,
    )
    kind = "label" if column in _LABELS else "n"
    return html.Th(link, id=f"head-{column}", scope="col", className=kind, **aria(sort=order))


def _row(data: PageData, filters: Filters, record: Mapping[Any, Any]) -> Component:
    cell_id = str(record["cell_id"])
    link = html.A(cell_id, href=trial_path(data.name, cell_id, filters.place_only()))
    error = "" if pd.isna(record["error"]) else " ".join(str(record["error"]).split())
    short = error if len(error) <= _MAX_ERROR else error[: _MAX_ERROR - 1] + "…"
    texts: dict[str, Component | str] = {
        "cell_id": link,
        "status": status_mark(str(record["status"])),
        "sparsity_target": "dense"
        if pd.isna(record["sparsity_target"])
        else _level(record["sparsity_target"]),
        "randomization": _level(record["randomization"]),
        "wall_seconds": _time(record["wall_seconds"]),
        "error": html.Span(short, className="error", title=error) if error else "",
    }
    cells = [
        html.Td(
            texts.get(column, number_text(record[column])),
            className=("any" if column == "error" else "label") if column in _LABELS else "n",
        )
        for column in COLUMNS
    ]
    return html.Tr(cells, id=component_id("row", cell_id))


def _level(value: object) -> str:
    return level_text(float(str(value)))


def _time(value: object) -> str:
    seconds = float(str(value))
    return "–" if seconds != seconds else f"{seconds:.1f} s" if seconds < 60 else format_seconds(seconds)


def _pager(data: PageData, filters: Filters, number: int, num_pages: int) -> list[Component | str]:
    if num_pages == 1:
        return []

    def link(text: str, page: int) -> Component:
        if not 1 <= page <= num_pages or page == number:
            return html.Span(text, className="muted")
        return html.A(text, href=page_path(data.name, "trials", replace(filters, page=page)))

    return [
        link("First", 1),
        link("Previous", number - 1),
        html.Span(f"Page {number} of {num_pages}", **aria(current="page")),
        link("Next", number + 1),
        link("Last", num_pages),
    ]


PAGE = Page(slug="trials", title="Trials", content=content)
