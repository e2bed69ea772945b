"""Threshold: one exhibit."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = "The largest sparsity up to which every network still has the labels that it was trained on."


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen cells."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["threshold"])


PAGE = Page(slug="threshold", title="Threshold", content=content)
