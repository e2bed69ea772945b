"""Exhibits as a page shows them: in the mode's colours, without markup from disk; drawn once."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import plotly.graph_objects as go

from analysis.exhibits.exhibit import Exhibit
from analysis.figures.theme import darkened

# Figures of big experiments take some hundred kilobytes each.
_MAX_KEPT = 48

# Plotly reads a little HTML in texts. The figures write these; names from disk could hold links.
_MARKUP = re.compile(r"<(?!/?(?:br|b|i|sub|sup|extra)\s*/?>)", re.IGNORECASE)


class Drawings:
    """The exhibits that were drawn last, for all browser tabs."""

    def __init__(self, max_kept: int = _MAX_KEPT) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Exhibit] = OrderedDict()
        self._max_kept = max_kept

    def get(self, key: Hashable, draw: Callable[[], Exhibit]) -> Exhibit:
        """The exhibit of a key; drawn where it is not known. Equal keys must mean equal exhibits."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        exhibit = draw()  # two threads may draw the same one; waiting for each other would be slower
        with self._lock:
            self._kept[key] = exhibit
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        return exhibit


def for_page(exhibit: Exhibit, *, is_dark: bool, revision: str) -> Exhibit:
    """The exhibit with its figure as a page shows it.

    Args:
        exhibit: in light colours.
        is_dark: whether the page is.
        revision: zoom and hidden lines stay for as long as this is the same.
    """
    figure = go.Figure(without_markup(exhibit.figure.to_plotly_json()))
    figure.update_layout(uirevision=revision, autosize=True)
    return exhibit._replace(figure=darkened(figure) if is_dark else figure)


def without_markup(value: Any) -> Any:
    """A figure's plain form in which texts hold no markup but line breaks and type."""
    if isinstance(value, Mapping):
        return {key: without_markup(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_markup(part) for part in value]
    return _MARKUP.sub("&lt;", value) if isinstance(value, str) else value
