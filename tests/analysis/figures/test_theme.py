from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import plotly.graph_objects as go
import pytest

from analysis.figures import theme


def luminance(color: str) -> float:
    """Relative luminance of WCAG 2.2."""
    if color.startswith("#"):
        channels = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    else:
        channels = [int(part) for part in re.findall(r"\d+", color)]
    parts = [c / 255 for c in channels]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color: str, other: str) -> float:
    darker, lighter = sorted((luminance(color), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_known_pairs() -> None:
    assert contrast("#ffffff", "rgb(0, 0, 0)") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("num_levels", [2, 3, 5, 8, 21])
def test_levels_stand_out_on_both_papers_and_keep_their_order(num_levels: int) -> None:
    dark_of, paper = theme.dark_colors(), theme.SHADES["paper"]
    light = [style.color for style in theme.level_styles(num_levels)]
    dark = [dark_of[color] for color in light]
    assert min(contrast(color, paper.light) for color in light) >= 3
    assert min(contrast(color, paper.dark) for color in dark) >= 3
    for colors in (light, dark):
        assert all(luminance(lower) < luminance(higher) for lower, higher in pairwise(colors))


def test_neighbouring_levels_differ_in_shape() -> None:
    symbols = [style.symbol for style in theme.level_styles(8)]
    assert len(set(symbols)) == 8


@pytest.mark.parametrize("mode", [0, 1])
def test_texts_can_be_read_on_both_papers(mode: int) -> None:
    paper, soft = theme.SHADES["paper"][mode], theme.SHADES["soft"][mode]
    for name in ("ink", "muted", "good", "warn", "bad"):
        assert contrast(theme.SHADES[name][mode], paper) >= 4.5
        assert contrast(theme.SHADES[name][mode], soft) >= 4.5
    assert contrast(theme.SHADES["warn"][mode], theme.SHADES["warn-soft"][mode]) >= 4.5


def test_light_colors_are_told_apart_by_value() -> None:
    num_levels = len({style.color for style in theme.level_styles(61)})
    assert len(theme.dark_colors()) == len(theme.SHADES) + num_levels
    assert not {theme.LIGHT_TEXT, theme.DARK_TEXT} & theme.dark_colors().keys()


@pytest.mark.parametrize("scale", [theme.sequential_color, theme.diverging_color])
def test_text_on_a_square_can_be_read(scale: Callable[[float], str]) -> None:
    for percent in range(101):
        square = scale(percent / 100)
        assert contrast(theme.text_color_on(square), square) >= 4.5


def test_darkened_exchanges_exactly_the_tables_colors() -> None:
    level = theme.level_styles(3)[2].color
    dark_level = theme.dark_colors()[level]
    figure = theme.new_figure(height=200)
    figure.add_trace(
        go.Scatter(
            x=[1, 2],
            y=[1, 2],
            text=["#1b1f24 in a text", "rgb(1, 2, 3)"],
            fillcolor=theme.translucent(level, 0.16),
            marker={"color": [level, "rgb(1, 2, 3)"], "line": {"color": theme.PAPER}},
            textfont={"shadow": f"0 0 3px {theme.PAPER}, 0 0 3px {theme.INK}"},
        )
    )
    figure.add_trace(go.Heatmap(z=[[1]], colorscale=[[0, level], [1, theme.INK]]))
    figure.add_annotation(text="a", font={"color": theme.LIGHT_TEXT})
    before = figure.to_dict()
    dark = theme.darkened(figure)
    assert figure.to_dict() == before
    assert dark.layout.paper_bgcolor == dark.layout.plot_bgcolor == "#15191e"
    assert dark.layout.font.color == "#e4e7eb"
    assert dark.layout.height == 200
    line, squares = dark.data
    assert line.text == ("#1b1f24 in a text", "rgb(1, 2, 3)")
    assert line.marker.color == (dark_level, "rgb(1, 2, 3)")
    assert line.marker.line.color == "#15191e"
    assert line.textfont.shadow == "0 0 3px #15191e, 0 0 3px #e4e7eb"
    assert line.fillcolor == f"rgba({dark_level[4:-1]}, 0.16)"
    assert squares.colorscale == ((0, level), (1, theme.INK))
    assert dark.layout.annotations[0].font.color == theme.LIGHT_TEXT


def test_labels_are_spread_apart_in_their_order() -> None:
    assert theme.spread([0.5, 0.9], 0.1, 0, 1) == [0.5, 0.9]
    assert theme.spread([0.50, 0.52], 0.1, 0, 1) == pytest.approx([0.5, 0.6])
    assert theme.spread([1.0, 1.0, 0.99], 0.1, 0, 1) == pytest.approx([1.0, 0.9, 0.8])
    crowded = theme.spread([0.5] * 21, 0.1, 0, 1)
    assert min(crowded) == pytest.approx(0)
    assert max(crowded) == pytest.approx(1)


def test_tick_labels_that_stand_close_are_staggered_or_left_out() -> None:
    assert theme.staggered(["0", ".5", ".9", ".95", ".99"], [0, 0.5, 0.9, 0.95, 0.99]) == [
        "0",
        ".5",
        ".9",
        "<br>.95",
        ".99",
    ]
    # A label of four characters is .116 wide: 0.99 has no room beside 0.9 nor beside 0.95, 0.995 nowhere.
    assert theme.staggered(["0", "0.9", "0.95", "0.99", "0.995", "1"], [0, 0.9, 0.95, 0.99, 0.995, 1]) == [
        "0",
        "0.9",
        "<br>0.95",
        "<br><br>0.99",
        "",
        "1",
    ]
    assert theme.staggered(["only"], [0.9]) == ["only"]
