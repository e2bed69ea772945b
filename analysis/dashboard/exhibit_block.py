"""An exhibit on a page: heading, controls, figure, caption, its numbers behind a fold, and as a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from analysis.dashboard.addresses import download_path
from analysis.dashboard.data_table import table, thinned
from analysis.dashboard.drawing import for_page
from analysis.dashboard.filters import Filters, matching
from analysis.dashboard.marks import aria, notice
from analysis.dashboard.page_data import PageData
from analysis.exhibits.exhibit import Control, Exhibit, Table
from analysis.exhibits.gallery import EXHIBITS
from analysis.exhibits.table_text import row_texts

_LOG = logging.getLogger(__name__)

# Nothing that asks other machines: no cloud editor, no map tiles.
PLOTLY_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,
    "showEditInChartStudio": False,
    "plotlyServerURL": "",
    "topojsonURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def exhibit_block(data: PageData, filters: Filters, name: str) -> Component:
    """One exhibit of the gallery, of the cells that the filters let through."""
    kind = EXHIBITS[name]
    shown = data.snapshot.data.restricted(matching(data.snapshot.data.frame, filters))
    choices = filters.choices_of(name)
    # Bars of running attempts end at the driver's last sign of life.
    driver_seconds = (data.snapshot.driver or {}).get("time") if name == "slots" else None
    key = (
        data.snapshot.location,
        data.snapshot.version,
        name,
        tuple(sorted(choices.items())),
        filters.place_only(),
        data.is_dark,
        driver_seconds,
    )
    return block(
        name,
        kind.title,
        controls=lambda: kind.controls(shown),
        draw=lambda: data.drawings.get(
            key,
            lambda: for_page(
                kind.exhibit(shown, choices), is_dark=data.is_dark, revision=str(sorted(choices.items()))
            ),
        ),
        choices=choices,
        csv_address=download_path(data.name, f"{name}.csv", filters),
    )


def exhibit_table(data: PageData, filters: Filters, name: str) -> Table:
    """All numbers of one exhibit, for the file.

    Raises:
        ValueError: a control's value is none of its options.
    """
    shown = data.snapshot.data.restricted(matching(data.snapshot.data.frame, filters))
    return EXHIBITS[name].exhibit(shown, filters.choices_of(name)).table


def block(
    name: str,
    title: str,
    *,
    controls: Callable[[], Sequence[Control]],
    draw: Callable[[], Exhibit],
    choices: Mapping[str, str],
    csv_address: str,
) -> Component:
    """A figure with all that belongs to it; a sentence in its place where it cannot be drawn.

    Args:
        name: of the figure, unique on the page.
        title: heading.
        controls: of the figure.
        draw: gives it.
        choices: value by control, of those that were set.
        csv_address: of the file with its numbers.
    """
    heading = html.H2(title, id=f"heading-{name}")
    try:
        selects = control_selects(name, controls(), choices)
        exhibit = draw()
    except ValueError as error:
        problem = notice(f"This figure cannot be drawn: {error}", f"problem-{name}")
        return html.Section([heading, problem], id=f"block-{name}")
    except Exception:  # one figure must not take the page with it; the log has the rest
        _LOG.exception("figure %s cannot be drawn", name)
        problem = notice(
            "This figure cannot be drawn. The log of rcsweep dash says why; the numbers of every cell are "
            "under Trials.",
            f"problem-{name}",
        )
        return html.Section([heading, problem], id=f"block-{name}")
    rows, note = thinned(exhibit.table.rows)
    graph = dcc.Graph(
        id=f"graph-{name}",
        figure=exhibit.figure,
        config=PLOTLY_CONFIG,
        responsive=True,
        style={"minWidth": f"{exhibit.min_width_px}px", "height": f"{exhibit.figure.layout.height or 450}px"},
    )
    numbers = html.Details(
        [
            html.Summary("Numbers behind this figure"),
            html.P(
                [
                    html.Span(note + " ", id=f"note-{name}"),
                    html.A("Download all as CSV", id=f"csv-{name}", href=csv_address, download=f"{name}.csv"),
                ],
                className="muted",
            ),
            html.Div(
                table(
                    exhibit.table.header,
                    [row_texts(tuple(row), exhibit.table.num_label_columns) for row in rows],
                    label=exhibit.table.label,
                    num_label_columns=exhibit.table.num_label_columns,
                    name=f"rows-{name}",
                ),
                id=f"table-{name}",
            ),
        ],
        id=f"numbers-{name}",
    )
    plot = html.Div(
        graph,
        id=f"plot-{name}",
        className="plot",
        role="group",  # no image: plotly's own buttons are in it
        **aria(label=exhibit.caption),
    )
    return html.Section(
        [
            heading,
            *selects,
            html.Figure(
                [plot, html.Figcaption(exhibit.caption, id=f"caption-{name}"), numbers], id=f"figure-{name}"
            ),
        ],
        id=f"block-{name}",
        **aria(labelledby=f"heading-{name}"),
    )


def control_selects(name: str, controls: Sequence[Control], choices: Mapping[str, str]) -> list[Component]:
    """A labelled select a control; what is chosen goes into the address (assets/dashboard.js)."""
    selects = [
        select(
            f"{name}.{control.name}",
            control.label,
            [("" if place == 0 else value, label) for place, (value, label) in enumerate(control.options)],
            "" if choices.get(control.name) in (None, control.values[0]) else choices[control.name],
        )
        for control in controls
        if len(control.options) > 1
    ]
    return [html.Form(selects, className="controls", id=f"controls-{name}")] if selects else []


def select(key: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> Component:
    """A select with its label; `key` is what it sets in the address."""
    name = f"select-{key.replace('.', '-')}"
    return html.Label(
        [
            html.Span(label),
            html.Select(
                [html.Option(text, value=value, selected=value == chosen) for value, text in options],
                id=name,
                name=key,
                autoComplete="off",
            ),
        ],
        htmlFor=name,
    )
