"""Published: the table of the paper beside this experiment, one exhibit."""

from __future__ import annotations

from dash.development.base_component import Component

from analysis.dashboard.exhibit_page import exhibit_page
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import Page, PageData

_INTRODUCTION = (
    "The published accuracies are of ResNet-56 on CIFAR-10, one run each. Of another recipe, the order of "
    "the numbers may be compared, not their size."
)


def content(data: PageData, filters: Filters) -> Component:
    """The exhibit of the chosen cells."""
    return exhibit_page(data, filters, PAGE.slug, PAGE.title, _INTRODUCTION, ["published"])


PAGE = Page(slug="published", title="Published", content=content)
