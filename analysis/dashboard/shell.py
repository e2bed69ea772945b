"""What stands around every page: skip link, name, tools, navigation; and the stores behind it."""

from __future__ import annotations

from dataclasses import replace

from dash import dcc, html
from dash.development.base_component import Component

from analysis.dashboard.addresses import Address, list_path, page_path, trial_path
from analysis.dashboard.filters import Filters, query
from analysis.dashboard.marks import aria
from analysis.dashboard.pages.all_pages import NAVIGATION

REFRESH_SECONDS = 10.0


def layout() -> Component:
    """The page before anything is known; `frame` and a page's content fill it."""
    return html.Div(
        [
            html.A("Skip to the content", href="#main", className="skip"),
            html.Header(
                [
                    html.Div(id="brand", className="brand"),
                    html.Div(
                        [
                            html.Span(
                                id="looked", className="muted", title="When the experiment was last read"
                            ),
                            html.Button("Refresh", id="refresh", type="button"),
                            html.A("Pause", id="pause", className="button"),
                            html.Button("Dark", id="theme", type="button"),
                        ],
                        className="tools",
                    ),
                ]
            ),
            html.Nav(id="nav", **aria(label="Pages")),
            html.Div(id="problem", role="status"),
            html.Main(html.Div(html.P("Reading …", className="muted"), id="page"), id="main", tabIndex=-1),
            dcc.Location(id="url", refresh=False),
            dcc.Interval(id="tick", interval=REFRESH_SECONDS * 1000),
            dcc.Store(id="view"),
            dcc.Store(id="answer"),
            dcc.Store(id="shown", data={}),
            dcc.Store(id="system-mode"),
        ]
    )


def frame(address: Address | None, filters: Filters, *, has_list: bool, problem: str) -> list[Component]:
    """The parts of the shell that depend on the page, each with its id.

    Args:
        address: of the page; None for one that is none.
        filters: of the page.
        has_list: whether there is a list of experiments to go back to.
        problem: why what is shown may be old; empty where it is not.
    """
    name = address.experiment if address else None
    brand: list[Component] = [html.A("rcsweep", href=list_path())] if has_list else [html.Span("rcsweep")]
    links: list[Component] = []
    if address is not None and name is not None:
        kept = filters.place_only()
        brand += [html.Span(" / ", **aria(hidden="true")), html.A(name, href=page_path(name, "", kept))]
        here = "trials" if address.page == "trial" else address.page
        is_page_itself = here == address.page
        links = [
            html.A(
                page.title,
                href=page_path(name, page.slug, kept),
                **(aria(current="page" if is_page_itself else "true") if page.slug == here else {}),
            )
            for page in NAVIGATION
        ]
    return [
        html.Div(brand, id="brand"),
        html.Nav(links, id="nav"),
        html.Div([html.P(problem, className="notice")] if problem else [], id="problem"),
        html.A(
            "Pause" if filters.is_live else "Go on",
            id="pause",
            href=_path(address, replace(filters, is_live=not filters.is_live)),
            title=f"Updates every {REFRESH_SECONDS:g} s are {'on' if filters.is_live else 'off'}",
        ),
    ]


def _path(address: Address | None, filters: Filters) -> str:
    if address is None or address.experiment is None:
        return list_path() + query(filters)
    if address.cell_id:
        return trial_path(address.experiment, address.cell_id, filters)
    return page_path(address.experiment, address.page, filters)
