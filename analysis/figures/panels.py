"""Panels one below the other in one figure, each with a title and axes; narrow pages hold them, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from analysis.figures import theme


class Panel(NamedTuple):
    """Place of one panel.

    Attributes:
        suffix: of its axes' names: empty, `2`, `3`, ...
        domain: of its y axis, as fractions of the plotting area.
    """

    suffix: str
    domain: tuple[float, float]

    @property
    def axes(self) -> dict[str, str]:
        """What a trace needs to be drawn here."""
        return {"xaxis": f"x{self.suffix}", "yaxis": f"y{self.suffix}"}

    @property
    def refs(self) -> dict[str, str]:
        """What an annotation or shape in data coordinates needs to be drawn here."""
        return {"xref": f"x{self.suffix}", "yref": f"y{self.suffix}"}


def stack_panels(
    heights_px: Sequence[int], gaps_px: Sequence[int] | int = 84, **margin: int
) -> tuple[go.Figure, list[Panel]]:
    """An empty figure in the house style and its panels, top to bottom.

    Args:
        heights_px: of the plotting areas.
        gaps_px: below each panel but the last: room for ticks, axis title and the next panel's title.
        margin: `l`, `r`, `t`, `b` in px where they differ from the usual ones.
    """
    margins = {"l": 60, "r": 74, "t": 34, "b": 54} | margin
    gaps = [gaps_px] * (len(heights_px) - 1) if isinstance(gaps_px, int) else list(gaps_px)
    total_px = sum(heights_px) + sum(gaps)
    figure = theme.new_figure(height=total_px + margins["t"] + margins["b"], margin=margins)
    panels, top_px = [], total_px
    for index, height_px in enumerate(heights_px):
        domain = (max((top_px - height_px) / total_px, 0.0), top_px / total_px)
        panels.append(Panel("" if index == 0 else str(index + 1), domain))
        top_px -= height_px + (gaps[index] if index < len(gaps) else 0)
    return figure, panels


def set_axes(figure: go.Figure, panel: Panel, x: dict[str, Any], y: dict[str, Any]) -> None:
    """Give a panel its axes, each as of `theme.axis`."""
    figure.update_layout(
        {
            f"xaxis{panel.suffix}": x | {"anchor": f"y{panel.suffix}"},
            f"yaxis{panel.suffix}": y | {"anchor": f"x{panel.suffix}", "domain": list(panel.domain)},
        }
    )


def title(text: str, panel: Panel) -> dict[str, Any]:
    """Annotation above a panel, at its left edge."""
    return {
        "text": f"<b>{text}</b>",
        "x": 0,
        "y": 1,
        "xref": f"x{panel.suffix} domain",
        "yref": f"y{panel.suffix} domain",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "xshift": -8,
        "yshift": 4,
    }


def inner_note(text: str, panel: Panel) -> dict[str, Any]:
    """Annotation in the middle of a panel that has nothing to show."""
    return {
        "text": text,
        "x": 0.5,
        "y": 0.5,
        "xref": f"x{panel.suffix} domain",
        "yref": f"y{panel.suffix} domain",
        "showarrow": False,
        "font": {"size": 13, "color": theme.MUTED},
    }


def level_line(y: float, panel: Panel) -> dict[str, Any]:
    """Shape: a dotted line across a panel at a value to compare with."""
    line = {"color": theme.MUTED, "width": 1, "dash": "dot"}
    place = {"xref": f"x{panel.suffix} domain", "yref": f"y{panel.suffix}"}
    return {"type": "line", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "layer": "below"} | place
