"""What of a page has changed: so that a refresh touches nothing else, neither zoom nor focus nor open folds.

A page is a tree of components. Those with an id are compared one by one, property by property, by a digest
of what they hold without the components with an id inside them. The browser keeps the digests and sends them
back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from plotly.io.json import to_json_plotly

# Property by id of the component, digest by property.
Digests = dict[str, dict[str, str]]


def plain(component: Any) -> Any:
    """A tree of components as plain JSON values, the way Dash sends it; figures included."""
    if hasattr(component, "to_plotly_json"):
        return plain(component.to_plotly_json())
    if isinstance(component, dict):
        return {key: plain(value) for key, value in component.items()}
    if isinstance(component, list | tuple):
        return [plain(value) for value in component]
    return component


def digests(tree: Any) -> Digests:
    """Of every component with an id in a plain tree."""
    return {
        node["props"]["id"]: {
            name: _digest(_without_inner(value)) for name, value in node["props"].items() if name != "id"
        }
        for node in _with_ids(tree)
    }


def changes(tree: Any, shown: Digests) -> list[tuple[str, dict[str, Any]]]:
    """(id, new properties) that turn what is shown into the tree, outermost first.

    Args:
        tree: plain.
        shown: `digests` of what the browser shows.
    """
    now = digests(tree)
    found: list[tuple[str, dict[str, Any]]] = []

    def visit(node: Any) -> None:
        for outer in _outermost(node):
            props = outer["props"]
            name = props["id"]
            before = shown.get(name, {})
            # A property that is gone is empty; every digest in `before` is of a property that was there.
            differing = {
                key: props.get(key)
                for key in {**before, **now[name]}
                if before.get(key) != now[name].get(key)
            }
            if differing:
                found.append((name, differing))
            if "children" not in differing:
                visit(props.get("children"))

    visit(tree)
    return found


def _with_ids(tree: Any) -> Iterator[dict[str, Any]]:
    for outer in _outermost(tree):
        yield outer
        yield from _with_ids(outer["props"].get("children"))


def _outermost(node: Any) -> Iterator[dict[str, Any]]:
    """The components with an id that are not inside another one with an id."""
    if isinstance(node, list):
        for part in node:
            yield from _outermost(part)
    elif _is_component(node):
        if "id" in node["props"]:
            yield node
        else:
            yield from _outermost(node["props"].get("children"))


def _without_inner(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_inner(part) for part in node]
    if _is_component(node):
        if "id" in node["props"]:
            return {"id": node["props"]["id"], "type": node["type"]}
        return {**node, "props": {key: _without_inner(value) for key, value in node["props"].items()}}
    return node


def _is_component(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("props"), dict) and "namespace" in node


def _digest(value: Any) -> str:
    return hashlib.blake2b(str(to_json_plotly(value)).encode(), digest_size=6).hexdigest()
