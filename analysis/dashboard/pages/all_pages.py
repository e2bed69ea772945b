"""Every page of an experiment, in the order of the navigation."""

from __future__ import annotations

from analysis.dashboard.page_data import Page
from analysis.dashboard.pages import (
    compare,
    cost,
    curves,
    gap,
    grid,
    memory,
    overview,
    published,
    settings,
    surgery,
    threshold,
    tradeoff,
    trial,
    trials,
)

_IN_ORDER = (
    overview,
    tradeoff,
    grid,
    threshold,
    curves,
    surgery,
    gap,
    memory,
    trials,
    cost,
    published,
    compare,
    settings,
)
NAVIGATION: tuple[Page, ...] = tuple(module.PAGE for module in _IN_ORDER)
PAGES: dict[str, Page] = {page.slug: page for page in (*NAVIGATION, trial.PAGE)}
