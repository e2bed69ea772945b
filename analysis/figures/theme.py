"""What all figures share: ordered level styles, fonts, layout. Readable in grey print and without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

FONT_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"
INK = "#1b1f24"
MUTED = "#5c6570"
GRID = "#e3e6ea"
PAPER = "#ffffff"

# Cividis grows evenly in luminance, so its order survives grey print and colour blindness. Beyond .6 it falls
# under a contrast of 3:1 on white.
_CIVIDIS_END = 0.6
# Alternating filled and open shapes, so that neighbours differ in grey, too.
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross", "hexagon")


class LevelStyle(NamedTuple):
    """How one level of an ordered factor is drawn.

    Attributes:
        color: CSS `rgb(r, g, b)`.
        symbol: plotly marker symbol.
    """

    color: str
    symbol: str


def level_styles(num_levels: int) -> list[LevelStyle]:
    """Styles of ordered levels, lowest (darkest) first."""
    return [
        LevelStyle(
            color=sequential_color(_CIVIDIS_END * index / max(num_levels - 1, 1)),
            symbol=_SYMBOLS[index % len(_SYMBOLS)],
        )
        for index in range(num_levels)
    ]


def sequential_color(fraction: float) -> str:
    """Cividis at a fraction in [0, 1], as `rgb(r, g, b)`."""
    color: str = sample_colorscale("Cividis", [min(max(fraction, 0.0), 1.0)])[0]
    return color


def translucent(color: str, opacity: float) -> str:
    """`rgb(r, g, b)` as `rgba(r, g, b, opacity)`."""
    return f"rgba({color.removeprefix('rgb(').removesuffix(')')}, {opacity:g})"


def text_color_on(color: str) -> str:
    """White or ink, whichever contrasts more with `rgb(r, g, b)` (relative luminance of WCAG 2)."""
    channels = [float(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return PAPER if luminance < 0.18 else INK


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved apart to at least `gap`, in their order, inside [low, high] as far as they fit.

    Direct labels at line ends would overlap where lines end close. Of equal ones the first is on top.
    """
    order = sorted(range(len(positions)), key=lambda index: (positions[index], -index))
    gap = min(gap, (high - low) / max(len(positions) - 1, 1))
    placed: list[float] = []
    for index in order:  # upwards from the lowest, then back down from the top
        floor = placed[-1] + gap if placed else low
        placed.append(max(positions[index], floor))
    ceiling = high
    for rank in range(len(placed) - 1, -1, -1):
        placed[rank] = min(placed[rank], ceiling)
        ceiling = placed[rank] - gap
    result = [0.0] * len(positions)
    for rank, index in enumerate(order):
        result[index] = placed[rank]
    return result


def end_label(text: str, x: float, y: float, **place: Any) -> dict[str, Any]:
    """Annotation right of a line's end; its text has the ink's contrast whatever the line's colour."""
    return {
        "x": x,
        "y": y,
        "text": text,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "middle",
        "xshift": 10,
        "font": {"size": 13, "color": INK},
    } | place


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Axis settings."""
    return {
        "title": {"text": title, "font": {"size": 14}, "standoff": 8},
        "gridcolor": GRID,
        "linecolor": MUTED,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": MUTED,
        "automargin": True,
    } | settings


def staggered(labels: Sequence[str], positions: Sequence[float]) -> list[str]:
    """Tick labels for ascending positions, every second one a line lower where neighbours stand close.

    Sparsities crowd towards 1; on a narrow page their labels would overlap.
    """
    span = positions[-1] - positions[0] if len(positions) > 1 else 0.0
    result: list[str] = []
    is_lower = False
    for index, label in enumerate(labels):
        is_close = index > 0 and positions[index] - positions[index - 1] < 0.12 * span
        is_lower = is_close and not is_lower
        result.append(f"<br>{label}" if is_lower else label)
    return result


def new_figure(height: int, **layout: Any) -> go.Figure:
    """An empty figure in the house style; its width is its container's."""
    return go.Figure(
        layout={
            "template": {"layout": {}},  # plotly's default template is 7 kB in every figure
            "font": {"family": FONT_FAMILY, "size": 13, "color": INK},
            "paper_bgcolor": PAPER,
            "plot_bgcolor": PAPER,
            "height": height,
            "margin": {"l": 60, "r": 70, "t": 34, "b": 50},
            "hoverlabel": {"font": {"family": FONT_FAMILY, "size": 13}},
            "showlegend": False,
        }
        | layout
    )


def note(figure: go.Figure, text: str) -> go.Figure:
    """The figure with a sentence in its middle instead of axes: for what has nothing to show yet."""
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False}, height=160)
    figure.add_annotation(
        text=text,
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 15, "color": MUTED},
    )
    return figure
