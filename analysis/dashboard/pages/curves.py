"""Curves: one exhibit."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = "Training, then pruning from where training ended, on one axis."


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen cells."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["curves"])


PAGE = Page(slug="curves", title="Curves", content=content)
