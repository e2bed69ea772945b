"""The Dash app: a thin adapter between the browser and `Answers`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx
from flask import Flask, Response

from analysis.dashboard.answers import Answers, View
from analysis.dashboard.downloads import add_downloads
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.security import Access, guard
from analysis.dashboard.shell import layout
from analysis.dashboard.stylesheet import COLORS

_LOG = logging.getLogger(__name__)
_ASSETS = Path(__file__).parent / "assets"

# The mode is set before anything is painted, so that no page flashes up in the other one.
_INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/colors.css">
<script src="/assets/theme.js"></script>
{%css%}
</head>
<body>
<noscript><p>The dashboard needs JavaScript. Without it: rcsweep status NAME.</p></noscript>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


def create_app(experiments: Experiments, access: Access) -> Flask:
    """The dashboard as a WSGI application.

    Args:
        experiments: that are served.
        access: who is let in.
    """
    server = Flask("analysis.dashboard", static_folder=None)
    hashes: list[str] = []
    guard(server, access, lambda: hashes)
    add_downloads(server, experiments)

    @server.get("/colors.css")
    def colors() -> Response:
        return Response(COLORS, content_type="text/css; charset=utf-8")

    app = Dash(
        "analysis.dashboard",
        server=server,  # type: ignore[arg-type]  # Dash's annotation forgets what its documentation says
        assets_folder=str(_ASSETS),
        assets_ignore="theme.js",
        index_string=_INDEX,
        title="rcsweep",
        update_title="",
        serve_locally=True,
        suppress_callback_exceptions=True,
        add_log_handler=False,
        enable_mcp=False,
    )
    app.layout = layout()
    _add_callbacks(app, Answers(experiments))
    hashes.extend(app.csp_hashes())
    return server


def _add_callbacks(app: Dash, answers: Answers) -> None:
    """What the browser does by itself is in assets/dashboard.js."""
    in_browser: dict[str, list[Any]] = {
        "view": [
            Output("view", "data"),
            Input("url", "pathname"),
            Input("url", "search"),
            Input("theme", "n_clicks"),
            Input("system-mode", "data"),
        ],
        "apply": [Output("shown", "data"), Input("answer", "data")],
        "openTrials": [Output("graph-heatmap", "clickData"), Input("graph-heatmap", "clickData")],
    }
    for name, wires in in_browser.items():
        app.clientside_callback(  # type: ignore[no-untyped-call]  # Dash has no annotations there
            ClientsideFunction("rcsweep", name), *wires, prevent_initial_call=name != "view"
        )

    @app.callback(
        Output("answer", "data"),
        Input("view", "data"),
        Input("tick", "n_intervals"),
        Input("refresh", "n_clicks"),
        State("shown", "data"),
        prevent_initial_call=True,
    )
    def answer(
        view: dict[str, Any], num_ticks: int | None, num_clicks: int | None, shown: dict[str, Any]
    ) -> dict[str, Any]:
        looked_at = View(str(view["path"]), str(view["search"]), bool(view["dark"]))
        return answers.answer(looked_at, shown, fresh=ctx.triggered_id == "refresh")
