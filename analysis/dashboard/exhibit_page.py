"""Pages that show exhibits of the gallery: heading, filters, and one block each."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.exhibit_block import exhibit_block
from analysis.dashboard.filter_bar import filter_bar
from analysis.dashboard.filters import Filters
from analysis.dashboard.page_data import PageData


def exhibit_page(
    data: PageData,
    filters: Filters,
    slug: str,
    title: str,
    introduction: str,
    exhibits: Sequence[str],
    more: Sequence[Component] = (),
) -> Component:
    """A page of exhibits.

    Args:
        data: of the experiment.
        filters: which cells.
        slug: of the page.
        title: heading.
        introduction: a sentence on what is seen.
        exhibits: names in `analysis.exhibits.gallery.EXHIBITS`.
        more: what follows the exhibits.
    """
    return html.Div(
        [
            html.H1(title, tabIndex=-1),
            html.P(introduction, className="muted"),
            filter_bar(data, filters, slug),
            *(exhibit_block(data, filters, name) for name in exhibits),
            *more,
        ]
    )
