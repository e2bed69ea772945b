"""The selects above a page that say which cells it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import page_path
from analysis.dashboard.exhibit_block import select
from analysis.dashboard.filters import Filters, level_text, matching
from analysis.dashboard.marks import aria
from analysis.dashboard.page_data import PageData
from analysis.figures.theme import STATUSES


def filter_bar(data: PageData, filters: Filters, slug: str) -> Component:
    """One select each for randomization, sparsity, seed and status, and how many cells are left."""
    frame = data.snapshot.data.frame
    sparsities: list[float | None] = [None] if (frame["phase"] == "train").any() else []
    sparsities += _levels(frame["sparsity_target"])
    statuses = [status for status in STATUSES if (frame["status"] == status).any()]
    selects = [
        _select("p", "Randomization p", _levels(frame["randomization"]), filters.randomizations, level_text),
        _select("S", "Sparsity S", sparsities, filters.sparsities, level_text),
        _select("seed", "Seed", _levels(frame["seed"]), filters.seeds, str),
        _select("status", "Status", statuses, filters.statuses, lambda status: STATUSES[status].word, str),
    ]
    num_shown = len(matching(frame, filters))
    count = f"{num_shown:,} of {len(frame):,} cells"
    everything: list[Component] = []
    if not filters.is_open:
        kept = Filters(is_live=filters.is_live, choices=filters.choices, sort=filters.sort)
        everything = [html.A("Show all", href=page_path(data.name, slug, kept))]
    return html.Form(
        [
            *selects,
            html.Span(count, id="num-shown", className="muted"),
            html.Span(everything, id="show-all"),
        ],
        className="controls filters",
        id="filters",
        **aria(label="Which cells are shown"),
    )


def _select(
    key: str,
    label: str,
    levels: Sequence[Any],
    chosen: Sequence[Any],
    show: Callable[[Any], str],
    write: Callable[[Any], str] | None = None,
) -> Component:
    write = write or show
    options = [("", "all"), *((write(level), show(level)) for level in levels)]
    value = ",".join(write(level) for level in chosen)
    if value not in (option for option, _ in options):  # several, from a link
        options.append((value, ", ".join(show(level) for level in chosen)))
    return select(key, label, options, value)


def _levels(column: pd.Series[Any]) -> list[Any]:
    return sorted(column.dropna().unique().tolist())
