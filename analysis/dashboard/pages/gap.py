"""Gap: one exhibit."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = "What the networks learned beside what they memorised: training against test accuracy."


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen cells."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["gap"])


PAGE = Page(slug="gap", title="Gap", content=content)
