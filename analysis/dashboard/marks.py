"""Small pieces that every page uses: how a status, a number and a time are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from dash import html
from dash.development.base_component import Component

from analysis.figures.theme import STATUSES


def status_mark(status: str) -> Component:
    """Icon, word and colour: never the colour alone."""
    style = STATUSES[status]
    return html.Span(
        [html.Span(f"{style.icon} ", **aria(hidden="true")), style.word], className=f"status {status}"
    )


def number_text(value: Any) -> str:
    """A value of a table: fractions in four digits after the point, `–` where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def utc_text(seconds: float | None) -> str:
    """Unix time as `2026-01-02 03:04:05 UTC`."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def aria(**words: object) -> dict[str, Any]:
    """What a component tells readers who do not see it: `aria(label="Log")` is `aria-label="Log"`."""
    return {f"aria-{name}": word for name, word in words.items()}


def identity(name: str) -> dict[str, Any]:
    """The id of a component that may have none: an empty one is no id."""
    return {"id": name} if name else {}


def notice(text: str, name: str = "") -> Component:
    """A sentence that stands in the place of something that is missing."""
    return html.P(text, className="notice", **identity(name))


def component_id(*parts: str) -> str:
    """An id that Dash accepts, of parts that may hold anything: dots and braces mean something to it."""
    return "-".join("".join(c if c.isalnum() or c in "_-" else f"_{ord(c):x}_" for c in p) for p in parts)
