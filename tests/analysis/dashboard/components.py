"""What tests look for in a page: its texts, links and parts, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from analysis.dashboard.changes import plain


def nodes(component: Any) -> Iterator[dict[str, Any]]:
    """Every component of a tree, outermost first."""

    def walk(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, list):
            for part in node:
                yield from walk(part)
        elif isinstance(node, dict) and "namespace" in node:
            yield node
            yield from walk(node["props"].get("children"))

    yield from walk(expanded(component))


def expanded(component: Any) -> Any:
    """The plain tree, with what the browser builds of static trees in its place."""

    def static(node: Any) -> Any:
        if isinstance(node, str):
            return node
        children = [static(part) for part in node["children"]]
        return {
            "type": node["tag"],
            "namespace": "browser",
            "props": node["attributes"] | {"children": children},
        }

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(part) for part in node]
        if not isinstance(node, dict) or "namespace" not in node:
            return node
        props = node["props"]
        if "data-tree" in props:
            return {**node, "props": props | {"children": [static(json.loads(props["data-tree"]))]}}
        return {**node, "props": props | {"children": walk(props.get("children"))}}

    return walk(plain(component))


def of_type(component: Any, kind: str) -> list[dict[str, Any]]:
    return [node["props"] for node in nodes(component) if node["type"] == kind]


def with_id(component: Any, name: str) -> dict[str, Any]:
    (found,) = [node for node in nodes(component) if node["props"].get("id") == name]
    return found


def text(component: Any) -> str:
    """All texts of a tree, with single spaces."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for part in node:
                yield from walk(part)
        elif isinstance(node, dict) and "namespace" in node:
            yield from walk(node["props"].get("children"))
        elif node is not None:
            yield str(node)

    return " ".join(" ".join(walk(expanded(component))).split())


def links(component: Any) -> list[str]:
    return [props["href"] for props in of_type(component, "A")]
