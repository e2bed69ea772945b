"""From what the browser asks for to what it has to change; knows neither Dash's callbacks nor Flask."""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import LIST, Address, list_path, page_path, read_path
from analysis.dashboard.changes import Digests, changes, digests, plain
from analysis.dashboard.drawing import Drawings
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.filters import Filters, parse
from analysis.dashboard.live_experiment import Snapshot
from analysis.dashboard.marks import notice
from analysis.dashboard.page_data import PageData
from analysis.dashboard.pages import experiments as experiments_page
from analysis.dashboard.pages.all_pages import PAGES
from analysis.dashboard.shell import frame

_LOG = logging.getLogger(__name__)


class View(NamedTuple):
    """What a browser tab looks at.

    Attributes:
        path: of its address.
        search: query of its address.
        is_dark: whether it is in dark mode.
    """

    path: str
    search: str
    is_dark: bool


class Content(NamedTuple):
    """A whole page.

    Attributes:
        title: of the document.
        parts: everything that depends on the view, each with an id.
        looked_seconds: when the data were read, Unix time; 0 where they never were.
        is_live: whether it is to be looked at again by itself.
    """

    title: str
    parts: list[Component]
    looked_seconds: float
    is_live: bool


class Answers:
    """Answers for all browser tabs.

    Args:
        experiments: that are served.
    """

    def __init__(self, experiments: Experiments) -> None:
        self.experiments = experiments
        self._drawings = Drawings()

    def answer(self, view: View, shown: Digests, *, fresh: bool = False) -> dict[str, Any]:
        """What has to change in a tab.

        Args:
            view: what it looks at.
            shown: digests of what it shows.
            fresh: whether to look at the experiment now, however short ago the last look was.

        Returns:
            Plain JSON: `changes` (pairs of id and properties), `shown` for the next time, `title`, `looked`
            (Unix time in seconds), `live`, `path`.
        """
        content = self.content(view, fresh=fresh)
        tree = plain(content.parts)
        return {
            "changes": changes(tree, shown),
            "shown": digests(tree),
            "title": content.title,
            "looked": content.looked_seconds,
            "live": content.is_live,
            "path": view.path,
        }

    def content(self, view: View, *, fresh: bool = False) -> Content:
        """The whole page; one that says what is wrong where it cannot be made."""
        address = read_path(view.path)
        try:
            filters = parse(view.search)
        except ValueError as error:
            again = html.A("Show the page without them", href=view.path)
            body = [html.H1("This link cannot be read", tabIndex=-1), notice(f"{error}."), again]
            return self._framed(address, Filters(), "Link", html.Div(body))
        if self.experiments.only is not None and address == Address(None, LIST):
            address = Address(self.experiments.only)
        if address == Address(None, LIST):
            return self._list(filters)
        if address is None or address.page not in PAGES:
            return self._missing(None, filters, f"There is no page {view.path}.")
        assert address.experiment is not None
        experiment = self.experiments.find(address.experiment)
        if experiment is None:
            return self._missing(None, filters, f"There is no experiment {address.experiment!r} here.")
        shot = experiment.snapshot(fresh=fresh)
        data = PageData(
            snapshot=shot,
            experiments=self.experiments,
            drawings=self._drawings,
            is_dark=view.is_dark,
            cell_id=address.cell_id,
        )
        page = PAGES[address.page]
        title = f"{address.cell_id or page.title} · {address.experiment}"
        return self._framed(address, filters, title, _body(data, filters, address), shot)

    def _list(self, filters: Filters) -> Content:
        parent = self.experiments.parent
        assert parent is not None
        try:
            summaries, problem = self.experiments.summaries(), ""
        except OSError as error:
            _LOG.warning("%s cannot be listed", parent.location, exc_info=True)
            summaries, problem = [], f"{parent.location} cannot be listed: {error}"
        body = experiments_page.content(summaries, parent.location, filters)
        content = self._framed(Address(None, LIST), filters, experiments_page.TITLE, body, problem=problem)
        return content._replace(looked_seconds=time.time(), is_live=filters.is_live)

    def _missing(self, address: Address | None, filters: Filters, sentence: str) -> Content:
        only = self.experiments.only
        back = html.A("To the start", href=list_path() if only is None else page_path(only))
        body = html.Div([html.H1("Not found", tabIndex=-1), notice(sentence), back])
        return self._framed(address, filters, "Not found", body)

    def _framed(
        self,
        address: Address | None,
        filters: Filters,
        title: str,
        body: Component,
        shot: Snapshot | None = None,
        problem: str = "",
    ) -> Content:
        if shot is not None and shot.problem and shot.states:
            problem = f"What is shown is from the last look that went well. {shot.problem}"
        has_list = self.experiments.only is None
        return Content(
            f"{title} · rcsweep",
            [
                *frame(address, filters, has_list=has_list, problem=problem),
                html.Div(body, id="page"),
            ],
            shot.looked_seconds if shot else 0.0,
            filters.is_live and shot is not None,
        )


def _body(data: PageData, filters: Filters, address: Address) -> Component:
    shot = data.snapshot
    if not shot.states and address.page != "settings":
        sentence = (
            "The page fills when the sweep begins; it may be started later, on this machine or another."
        )
        is_new = not shot.problem or shot.problem.endswith("nothing here yet")
        return html.Div(
            [
                html.H1(data.name, tabIndex=-1),
                notice(f"{shot.location}: nothing here yet." if is_new else shot.problem, "empty"),
                html.P(sentence),
            ]
        )
    try:
        return PAGES[address.page].content(data, filters)
    except ValueError as error:
        sentence = f"{error}."
    except Exception:  # whatever it is, the page says so and the other pages go on
        _LOG.exception("page %s of %s cannot be made", address.page, data.name)
        sentence = "This page cannot be made. The log of rcsweep dash says why."
    return html.Div([html.H1(PAGES[address.page].title, tabIndex=-1), notice(sentence)])
