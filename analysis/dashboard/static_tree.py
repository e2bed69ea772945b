"""Parts with many elements as one component: Dash's own cost grows with the square of their number.

The tree travels as JSON in an attribute, and the browser builds its elements (assets/static_tree.js): texts
as texts, and of elements and attributes only those that are listed there.
"""

from __future__ import annotations

import json
from typing import Any

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.changes import plain
from analysis.dashboard.marks import identity

ATTRIBUTE = "data-tree"


def static_tree(tree: Component, name: str = "", **properties: Any) -> Component:
    """A component that shows a tree without figures, controls or callbacks.

    Args:
        tree: of components of `dash.html`.
        name: id of the component; the ids inside mean nothing to Dash.
        properties: of the component.
    """
    attributes: dict[str, Any] = {ATTRIBUTE: json.dumps(_brief(plain(tree)), separators=(",", ":"))}
    return html.Div(**identity(name), **properties, **attributes)


def _brief(node: Any) -> Any:
    """A node without what Dash alone needs: an element, a list of nodes, or a text."""
    if isinstance(node, list):
        return [_brief(part) for part in node]
    if not isinstance(node, dict):
        return "" if node is None else str(node)
    attributes = {name: value for name, value in node["props"].items() if name != "children"}
    children = node["props"].get("children")
    inside = children if isinstance(children, list) else [] if children is None else [children]
    return {"tag": node["type"], "attributes": attributes, "children": [_brief(part) for part in inside]}
