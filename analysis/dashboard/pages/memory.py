"""Memory: what of the random labels the networks still hold."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.marks import notice
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = (
    "Kept and redrawn labels apart: a network that has forgotten the redrawn labels is right on them only by "
    "chance, however well it does on the others."
)
_DESCRIPTION_LENGTH = (
    "The description length of the pruned networks will stand here once results have columns for it."
)


def content(data: PageData, filters: Filters) -> Component:
    """Memorization, forgetting, and where description length will stand."""
    exhibits = ["memorization", "forgetting"]
    more = [html.H2("Description length"), notice(_DESCRIPTION_LENGTH)]
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, exhibits, more)


PAGE = Page(slug="memory", title="Memory", content=content)
