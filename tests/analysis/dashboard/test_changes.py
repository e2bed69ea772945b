from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from analysis.dashboard.changes import changes, digests, plain


def page(
    count: int = 1, title: str = "Grid", y: tuple[float, ...] = (1.0, 2.0), extra: bool = False
) -> Component:
    figure = go.Figure(go.Scatter(y=y))
    return html.Div(
        [
            html.H1(title),
            html.P(f"{count} cells", id="count", className="muted"),
            html.Div(dcc.Graph(id="graph", figure=figure), id="plot", **{"aria-label": f"{count} cells"}),
            *([html.P("more")] if extra else []),
        ],
        id="page",
    )


def differing(now: Component, before: Component) -> list[tuple[str, dict[str, Any]]]:
    return changes(plain(now), digests(plain(before)))


def test_nothing_changed() -> None:
    assert differing(page(), page()) == []


def test_a_text_changes_alone() -> None:
    assert differing(page(count=2), page()) == [
        ("count", {"children": "2 cells"}),
        ("plot", {"aria-label": "2 cells"}),
    ]


def test_a_figure_is_replaced_without_what_is_around_it() -> None:
    (changed,) = differing(page(y=(1.0, 3.0)), page())
    assert changed[0] == "graph"
    assert list(changed[1]) == ["figure"]
    assert list(changed[1]["figure"]["data"][0]["y"]) == [1.0, 3.0]


def test_another_structure_replaces_the_whole_once() -> None:
    for other in (page(extra=True), page(title="Trials", count=5)):
        (changed,) = differing(other, page())
        assert (changed[0], list(changed[1])) == ("page", ["children"])


def test_a_property_that_is_gone_is_emptied() -> None:
    before = html.A("x", id="link", href="/a", title="t")
    assert differing(html.A("x", id="link", href="/a"), before) == [("link", {"title": None})]


def test_unknown_parts_are_sent_whole() -> None:
    assert [name for name, _ in changes(plain(page()), {})] == ["page"]
