from __future__ import annotations

import json
import re

from analysis.figures import theme
from analysis.html_page import Html, page


def test_page_has_the_colors_of_both_modes() -> None:
    html = page("title", Html(""))
    table = re.search(r"var darkColors = new Map\(Object\.entries\((\{.*?\})\)\);", html)
    assert table is not None
    assert json.loads(table[1]) == theme.dark_colors()
    style = html[html.index("<style>") : html.index("</style>")]
    assert ":root { --paper: #ffffff; --ink: #1b1f24;" in style
    dark = style[style.index("@media screen") : style.index("* { box-sizing")]
    assert "--paper: #15191e; --ink: #e4e7eb;" in dark
    assert style.count("--paper: #15191e") == 1  # nowhere but on a screen: paper is always light
    assert '<button type="button" class="mode">' in html


def test_leading_columns_of_a_table_stand_left() -> None:
    html = page("title", Html(""))
    assert ".labels-3 :is(th, td):nth-child(-n+3)" in html
