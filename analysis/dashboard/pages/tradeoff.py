"""Trade-off: one exhibit."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = (
    "Where a line falls is how far networks of that randomization can be pruned before they forget."
)


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen cells."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["tradeoff"])


PAGE = Page(slug="tradeoff", title="Trade-off", content=content)
