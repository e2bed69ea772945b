"""Surgery: what Dynamic Network Surgery did to the networks of one parent."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = (
    "Weights that are pruned keep moving, and come back (are spliced) when they grow. Each line is one "
    "network that was pruned from the chosen parent."
)


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen parent."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["surgery"])


PAGE = Page(slug="surgery", title="Surgery", content=content)
