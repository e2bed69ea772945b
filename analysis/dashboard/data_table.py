"""Plain tables: of numbers behind figures, and of names and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.marks import aria, component_id, identity, number_text
from analysis.dashboard.static_tree import static_tree

# A fold holds so many rows; the file to download has all of them.
MAX_ROWS = 60
_LONG_TEXT = 30


def table(
    header: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    *,
    label: str,
    num_label_columns: int = 1,
    name: str = "",
) -> Component:
    """A table whose columns after the first `num_label_columns` are numbers and stand right.

    Args:
        header: of the columns: texts or components.
        rows: values or components.
        label: what it holds, for readers who do not see it.
        num_label_columns: leading columns of text.
        name: id of its body in the document.
    """

    def kind(column: int, value: Any) -> str:
        if column >= num_label_columns:
            return "n"
        return "any" if isinstance(value, str) and len(value) > _LONG_TEXT else "label"

    def cell(column: int, value: Any) -> Component:
        shown = value if isinstance(value, Component) else number_text(value)
        return html.Td(shown, className=kind(column, shown))

    head = [html.Th(text, scope="col", className=kind(place, "")) for place, text in enumerate(header)]
    body = [html.Tr([cell(place, value) for place, value in enumerate(row)]) for row in rows]
    inner = html.Table(
        [html.Thead(html.Tr(head)), html.Tbody(body, **identity(name))],
        **aria(label=label),
    )
    return scrolling(inner, label, name or label)


def scrolling(listing: Component, label: str, name: str) -> Component:
    """A table that scrolls where the page is narrower, also by keyboard; its name is unique on the page."""
    return static_tree(
        listing,
        component_id("static", name),
        className="scroll",
        tabIndex=0,
        role="region",
        **aria(label=label),
    )


def thinned(rows: Sequence[Sequence[Any]]) -> tuple[Sequence[Sequence[Any]], str]:
    """Rows spread evenly over all, at most `MAX_ROWS`, and a sentence on the others."""
    every = -(-len(rows) // MAX_ROWS)
    if every <= 1:
        return rows, f"{len(rows):,} rows."
    return rows[::every], f"Every {every}. of {len(rows):,} rows; the file has all of them."


def pairs_table(rows: Iterable[tuple[str, Any]], *, label: str, header: tuple[str, str]) -> Component:
    """Names and values."""
    return table(header, rows, label=label, num_label_columns=2)
