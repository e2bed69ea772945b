"""What all figures share: colours of both modes, ordered level styles, fonts, layout.

Figures are built light. `darkened` and the page's script put the dark colour wherever a figure holds exactly
a light colour of `SHADES` or of the levels; other colours stay, such as those of a heatmap's squares.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

FONT_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"


class Shade(NamedTuple):
    """One colour by its meaning, in either mode; `#rrggbb`."""

    light: str
    dark: str


# The light ones differ from each other, for they are what `darkened` looks for.
SHADES: dict[str, Shade] = {
    "paper": Shade("#ffffff", "#15191e"),
    "ink": Shade("#1b1f24", "#e4e7eb"),
    "muted": Shade("#5c6570", "#a3acb6"),
    "grid": Shade("#e3e6ea", "#2f363e"),
    "rule": Shade("#d5d9de", "#3a424b"),
    "soft": Shade("#f3f4f6", "#20262d"),
    "hatch": Shade("#8a929b", "#7d8792"),
    "good": Shade("#0b6b53", "#56c9a6"),
    "warn": Shade("#8a5a00", "#e3b341"),
    "warn-soft": Shade("#fff6e0", "#2e2716"),
    "bad": Shade("#a1260d", "#ff8d75"),
}
INK = SHADES["ink"].light
MUTED = SHADES["muted"].light
GRID = SHADES["grid"].light
PAPER = SHADES["paper"].light
SOFT = SHADES["soft"].light
HATCH = SHADES["hatch"].light
GOOD = SHADES["good"].light
WARN = SHADES["warn"].light
BAD = SHADES["bad"].light

# Text on coloured squares. The squares are the same in both modes, so these are no shades; white is one step
# off, for the paper's is one. Nothing greyer reaches a contrast of 4.5:1 on every square.
LIGHT_TEXT, DARK_TEXT = "#fffffe", "#000000"

# Differences: blue below 0, orange above, told apart by colour-blind readers; in grey the printed sign tells.
DIVERGING_SCALE = [
    [0.0, "rgb(33, 84, 156)"],
    [0.25, "rgb(126, 166, 214)"],
    [0.5, "rgb(241, 241, 239)"],
    [0.75, "rgb(233, 167, 102)"],
    [1.0, "rgb(166, 83, 8)"],
]

# Cividis grows evenly in luminance, so its order survives grey print and colour blindness. Beyond these ends
# it falls under a contrast of 3:1 on the paper of its mode.
_CIVIDIS_LIGHT = (0.0, 0.6)
_CIVIDIS_DARK = (0.48, 1.0)
# Level colours are taken from so many, evenly spaced: the page's script needs them as a table.
_NUM_LEVEL_COLORS = 61
# Width of a character of a tick label, as a share of the axis on a narrow page.
_CHARACTER_SHARE = 0.029
# Length of a line of a sentence in the place of a figure, on a narrow page.
_NOTE_CHARACTERS = 44
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


class StatusStyle(NamedTuple):
    """How the state of a cell is told: never by colour alone."""

    icon: str
    word: str
    color: str


STATUSES: dict[str, StatusStyle] = {
    "done": StatusStyle("✓", "finished", GOOD),
    "running": StatusStyle("▶", "running", WARN),
    "failed": StatusStyle("✕", "failed", BAD),
    "parent-failed": StatusStyle("✕", "parent failed", BAD),
    "missing": StatusStyle("○", "missing", MUTED),
}


def level_styles(num_levels: int) -> list[LevelStyle]:
    """Styles of ordered levels, lowest (darkest) first."""
    last_color = _NUM_LEVEL_COLORS - 1
    return [
        LevelStyle(
            color=_level_shade(round(last_color * index / max(num_levels - 1, 1))).light,
            symbol=_SYMBOLS[index % len(_SYMBOLS)],
        )
        for index in range(num_levels)
    ]


def _level_shade(index: int) -> Shade:
    """Level colour number `index`, 0 to `_NUM_LEVEL_COLORS` - 1, as `rgb(r, g, b)`."""
    part = index / (_NUM_LEVEL_COLORS - 1)
    light, dark = (low + (high - low) * part for low, high in (_CIVIDIS_LIGHT, _CIVIDIS_DARK))
    return Shade(sequential_color(light), sequential_color(dark))


def dark_colors() -> dict[str, str]:
    """Dark colour by light one: of every shade (`#rrggbb`) and of every level (`rgb(r, g, b)`)."""
    levels = (_level_shade(index) for index in range(_NUM_LEVEL_COLORS))
    return {shade.light: shade.dark for shade in (*SHADES.values(), *levels)}


def darkened(figure: go.Figure) -> go.Figure:
    """The figure for dark paper: every light colour exchanged; the given figure is left as it is.

    Colour scales keep their colours, so that a value has the same colour in both modes.
    """
    return go.Figure(_exchanged(figure.to_plotly_json(), dark_colors()))


def _exchanged(value: Any, colors: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: part if key == "colorscale" else _exchanged(part, colors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_exchanged(part, colors) for part in value]
    if not isinstance(value, str):
        return value
    if match := re.fullmatch(r"rgba\((\d+, \d+, \d+), ([\d.]+)\)", value):
        solid = f"rgb({match[1]})"
        return translucent(colors[solid], float(match[2])) if solid in colors else value
    if value in colors:
        return colors[value]
    # Of a shadow, as `0 0 3px #ffffff`.
    return re.sub(r"(?<=px )#[0-9a-f]{6}", lambda found: colors.get(found[0], found[0]), value)


def sequential_color(fraction: float) -> str:
    """Cividis at a fraction in [0, 1], as `rgb(r, g, b)`."""
    color: str = sample_colorscale("Cividis", [min(max(fraction, 0.0), 1.0)])[0]
    return color


def diverging_color(fraction: float) -> str:
    """`DIVERGING_SCALE` at a fraction in [0, 1], .5 being no difference, as `rgb(r, g, b)`."""
    color: str = sample_colorscale(DIVERGING_SCALE, [min(max(fraction, 0.0), 1.0)])[0]
    return color


def translucent(color: str, opacity: float) -> str:
    """`rgb(r, g, b)` as `rgba(r, g, b, opacity)`."""
    return f"rgba({color.removeprefix('rgb(').removesuffix(')')}, {opacity:g})"


def text_color_on(color: str) -> str:
    """`LIGHT_TEXT` or `DARK_TEXT`, whichever contrasts more with the square's `rgb(r, g, b)`.

    By the relative luminance of WCAG 2; neither is exchanged in dark mode, since the square is not.
    """
    channels = [float(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return LIGHT_TEXT if luminance < 0.18 else DARK_TEXT


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


def compact(places: Sequence[float | None]) -> NDArray[np.float32]:
    """Coordinates to 7 digits, None as not a number: a page holds them in a quarter of the space.

    Arrays are checked, and written into a page, as a whole; there may be thousands of points.
    """
    return np.array(places, dtype=np.float32)


def end_label(text: str, x: float, y: float, **place: Any) -> dict[str, Any]:
    """Annotation right of a line's end; its text has the figure's ink, whatever the line's colour."""
    return {
        "x": x,
        "y": y,
        "text": text,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "middle",
        "xshift": 10,
    } | place


def leader(x0: float, y0: float, x1: float, y1: float, **place: Any) -> dict[str, Any]:
    """Thin line shape from a line that ends early to its label beside the panel."""
    line = {"color": HATCH, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": line} | place


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

    Sparsities crowd towards 1; on a narrow page their labels would overlap. What fits in neither line goes to
    a third, and is left empty where there is no room either.
    """
    span = positions[-1] - positions[0] if len(positions) > 1 else 0.0
    result: list[str] = []
    line = 0
    line_ends = [-math.inf] * 3
    for index, label in enumerate(labels):
        is_close = index > 0 and positions[index] - positions[index - 1] < 0.12 * span
        preferred = 1 if is_close and line == 0 else 0
        half_width = _CHARACTER_SHARE * span * max(map(len, label.split("<br>"))) / 2
        free = [each for each in (preferred, 2) if line_ends[each] <= positions[index] - half_width]
        if free:
            line = free[0]
            line_ends[line] = positions[index] + half_width
        result.append("<br>" * line + label if free else "")
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
        text="<br>".join(textwrap.wrap(text, _NOTE_CHARACTERS)),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 15, "color": MUTED},
    )
    return figure
