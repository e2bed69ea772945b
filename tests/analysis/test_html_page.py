from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.figures import theme
from analysis.html_page import Html, Variant, figure_block, page


def figure(*ys: list[float], title: str = "") -> go.Figure:
    drawn = theme.new_figure(height=200)
    drawn.add_traces([go.Scatter(x=[1, 2], y=y, text=["a", "b"]) for y in ys])
    drawn.update_layout(yaxis={"title": {"text": title}})
    return drawn


def scripts(html: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="([a-z-]+)">(.*?)</script>', html)
    return {name: json.loads(content) for name, content in found}


def test_figure_without_variants_has_no_controls() -> None:
    html = figure_block(figure([1, 2]), "what", Html("<p>1</p>"), name="plain")
    assert "<select" not in html
    assert scripts(html).keys() == {"data-plain"}
    only = figure_block(
        figure([1, 2]),
        "what",
        Html(""),
        name="plain",
        variants=[Variant({"Axis": "x"}, figure([1, 2]), "what")],
    )
    assert "<select" not in only


def test_variants_hold_only_what_differs() -> None:
    variants = [
        Variant({"Value": "as is", "Axis": "S"}, figure([1, 2], [3, 4], title="y"), "first"),
        Variant({"Value": "drop", "Axis": "S"}, figure([1, 2], [4, 3], title="drop <y>"), "second"),
        Variant({"Value": "drop", "Axis": "log"}, figure([5, 6]), "third"),
    ]
    html = figure_block(variants[0].figure, "first", Html(""), name="some", variants=variants)
    changes = scripts(html)["variants-some"]
    assert changes["as is|S"] == {"caption": "first", "layout": {}, "traces": [{}, {}]}
    assert changes["drop|S"] == {
        "caption": "second",
        "layout": {"yaxis": {"title": {"text": "drop <y>"}}},
        "traces": [{}, {"y": [4, 3]}],
    }
    other = changes["drop|log"]
    assert "traces" not in other
    assert [trace["y"] for trace in other["data"]] == [[5, 6]]
    assert re.findall(r"<label>(\w+) <select", html) == ["Value", "Axis"]
    assert re.findall(r"<option>([^<]*)</option>", html) == ["as is", "drop", "S", "log"]


def test_arrays_that_plotly_does_not_encode_are_compared() -> None:
    def of_texts(*texts: str) -> go.Figure:
        drawn = figure([1, 2])
        drawn.data[0].customdata = np.array(texts, dtype=object)
        return drawn

    variants = [Variant({"A": "x"}, of_texts("a", "b"), "1"), Variant({"A": "y"}, of_texts("a", "c"), "2")]
    changes = scripts(figure_block(variants[0].figure, "1", Html(""), name="t", variants=variants))[
        "variants-t"
    ]
    assert changes["x"]["traces"] == [{}]
    assert changes["y"]["traces"] == [{"customdata": ["a", "c"]}]


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


def chromium() -> str | None:
    named = os.environ.get("BROWSER_PATH")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.mark.browser
# Beside the marker `browser`, which the default suite leaves out: for who asks for it where there is none.
@pytest.mark.skipif(chromium() is None, reason="no Chromium or Chrome; name one in BROWSER_PATH")
def test_browser_darkens_as_python_does_and_follows_the_controls(tmp_path: Path) -> None:
    level = theme.level_styles(3)[1].color
    first = figure([1, 2], title="y")
    first.data[0].update(marker={"color": level}, fill="tozeroy", fillcolor=theme.translucent(level, 0.16))
    variants = [
        Variant({"Axis": "S"}, first, "first caption"),
        Variant({"Axis": "log"}, go.Figure(first).update_traces(y=[7, 8]), "second caption"),
    ]
    block = figure_block(first, "first caption", Html(""), name="one", variants=variants)
    probe = """<script>window.addEventListener('load', function () {
      var div = document.querySelector('.drawing'), select = document.querySelector('select');
      var found = { darkened: darkened(parsed('data-one')), wasDark: isDark() };
      document.querySelector('.mode').click();
      found.isDark = document.documentElement.classList.contains('dark');
      found.paper = div.layout.paper_bgcolor;
      select.selectedIndex = 1;
      select.dispatchEvent(new Event('change', { bubbles: true }));
      found.y = div.data[0].y;
      found.caption = document.querySelector('figcaption').textContent;
      window.dispatchEvent(new Event('beforeprint'));
      found.printed = [div.layout.paper_bgcolor, div.data[0].y[0]];
      window.dispatchEvent(new Event('afterprint'));
      found.after = div.layout.paper_bgcolor;
      document.body.textContent = 'FOUND' + JSON.stringify(found) + 'END';
    });</script>"""
    file = tmp_path / "page.html"
    file.write_text(page("title", Html(block + probe)), encoding="utf-8")
    browser = chromium()
    assert browser is not None
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    dumped = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = json.loads(dumped[dumped.index("FOUND") + 5 : dumped.index("END</body>")])
    assert found.pop("darkened") == json.loads(theme.darkened(first).to_json())
    assert found == {
        "wasDark": False,
        "isDark": True,
        "paper": "#15191e",
        "y": [7, 8],
        "caption": "second caption",
        "printed": ["#ffffff", 7],
        "after": "#15191e",
    }
