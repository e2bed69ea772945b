"""Published: the table of the paper beside this experiment."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData
from analysis.published import SOURCE

_INTRODUCTION = (
    "The published accuracies are of ResNet-56 on CIFAR-10, one run each. Of another recipe, the order of "
    "the numbers may be compared, not their size."
)


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit, and where its reference is from."""
    source = html.P(f"Source: {SOURCE}.", className="muted")
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["published"], [source])


PAGE = Page(slug="published", title="Published", content=content)
