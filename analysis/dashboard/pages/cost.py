"""Cost: device time, and how the slots were used."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = "Device time by kind of cell, attempts, and which slot held which cell when."


def content(data: PageData, filters: Filters) -> Component:
    """Both exhibits; slots hold every cell, whatever is filtered."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["cost", "slots"])


PAGE = Page(slug="cost", title="Cost", content=content)
