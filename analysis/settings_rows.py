"""Nested settings as rows of a table, and one set of them beside another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, value) of every leaf."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        else:
            shown = value if isinstance(value, str) else "not set" if value is None else json.dumps(value)
            rows.append((f"{prefix}{key}", shown))
    return rows


def recipe_rows(own: Mapping[str, Any], other: Mapping[str, Any] | None) -> list[tuple[str, str, str, bool]]:
    """(name, own value, other value, whether they differ) of every leaf; without another one none differs."""
    ours, theirs = dict(flat(own)), dict(flat(other or {}))
    return [
        (
            name,
            ours.get(name, "–"),
            theirs.get(name, "–"),
            other is not None and ours.get(name) != theirs.get(name),
        )
        for name in {**ours, **theirs}
    ]
