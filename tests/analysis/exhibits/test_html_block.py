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

from analysis.exhibits.exhibit import Control, Exhibit, Table
from analysis.exhibits.html_block import Variant, exhibit_block, table_block
from analysis.figures import theme
from analysis.html_page import Html, page

VALUE = Control("value", "Value", (("absolute", "as is"), ("drop", "drop")))
AXIS = Control("axis", "Axis", (("s", "S"), ("log", "log")))
NUMBERS = Table("numbers", ("what", "y"), [("a", 1 / 3), ("b", None)])


def figure(*ys: list[float], title: str = "") -> go.Figure:
    drawn = theme.new_figure(height=200)
    drawn.add_traces([go.Scatter(x=[1, 2], y=y, text=["a", "b"]) for y in ys])
    drawn.update_layout(yaxis={"title": {"text": title}})
    return drawn


def exhibit(*ys: list[float], title: str = "", caption: str = "what", table: Table = NUMBERS) -> Exhibit:
    return Exhibit(figure(*ys, title=title), caption, table)


def scripts(html: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="([a-z0-9-]+)">(.*?)</script>', html)
    return {name: json.loads(content) for name, content in found}


def test_figure_without_variants_has_no_controls() -> None:
    html = exhibit_block("plain", (), [Variant((), exhibit([1, 2]))], "digits")
    assert "<select" not in html
    assert scripts(html).keys() == {"data-plain", "csv-plain-0"}
    assert 'aria-label="what"' in html
    assert "--min-width: 340px" in html


def test_variants_hold_only_what_differs() -> None:
    drops = NUMBERS._replace(label="drops")
    variants = [
        Variant(("absolute", "s"), exhibit([1, 2], [3, 4], title="y", caption="first")),
        Variant(("drop", "s"), exhibit([1, 2], [4, 3], title="drop <y>", caption="second", table=drops)),
        Variant(("drop", "log"), exhibit([5, 6], caption="third", table=drops)),
    ]
    html = exhibit_block("some", (VALUE, AXIS), variants, "digits")
    changes = scripts(html)["variants-some"]
    assert changes["absolute|s"] == {"caption": "first", "layout": {}, "traces": [{}, {}], "table": 0}
    assert changes["drop|s"] == {
        "caption": "second",
        "layout": {"yaxis": {"title": {"text": "drop <y>"}}},
        "traces": [{}, {"y": [4, 3]}],
        "table": 1,
    }
    other = changes["drop|log"]
    assert "traces" not in other
    assert [trace["y"] for trace in other["data"]] == [[5, 6]]
    assert other["table"] == 1
    assert re.findall(r"<label>(\w+) <select", html) == ["Value", "Axis"]
    options = re.findall(r'<option value="([^"]*)">([^<]*)</option>', html)
    assert options == [("absolute", "as is"), ("drop", "drop"), ("s", "S"), ("log", "log")]
    assert re.findall(r'data-file="([^"]*)"', html) == ["digits-some.csv", "digits-some-2.csv"]
    assert html.count('<div class="numbers" hidden>') == 1


def test_of_long_tables_the_page_holds_the_first() -> None:
    long = NUMBERS._replace(rows=[("a", 1.0)] * 501)
    variants = [
        Variant(("s",), exhibit([1, 2], table=long)),
        Variant(("log",), exhibit([1, 3], table=long._replace(label="other"))),
    ]
    html = exhibit_block("long", (AXIS,), variants, "digits")
    assert html.count('class="numbers"') == 1
    assert "Of the figure as it is shown first." in html
    assert "table" not in scripts(html)["variants-long"]["log"]


def test_table_is_rounded_and_its_csv_is_not() -> None:
    html = table_block(NUMBERS, "one", "digits-one")
    assert "<tr><td>a<td>0.3333\n<tr><td>b<td>\n" in html
    assert scripts(html) == {"csv-one": "what,y\r\na,0.3333333333333333\r\nb,\r\n"}
    assert '<button type="button" class="csv" data-csv="csv-one" data-file="digits-one.csv">' in html


def test_no_text_ends_a_script() -> None:
    attack = "</script><script>alert(1)</script>"
    html = table_block(NUMBERS._replace(rows=[(attack, 1)]), "one", 'a"b')
    assert "<script>alert" not in html
    assert scripts(html)["csv-one"].splitlines()[1] == f"{attack},1"
    assert 'data-file="a&quot;b.csv"' in html


def test_arrays_that_plotly_does_not_encode_are_compared() -> None:
    def of_texts(*texts: str) -> Exhibit:
        drawn = figure([1, 2])
        drawn.data[0].customdata = np.array(texts, dtype=object)
        return Exhibit(drawn, "what", NUMBERS)

    variants = [Variant(("s",), of_texts("a", "b")), Variant(("log",), of_texts("a", "c"))]
    changes = scripts(exhibit_block("t", (AXIS,), variants, "digits"))["variants-t"]
    assert changes["s"]["traces"] == [{}]
    assert changes["log"]["traces"] == [{"customdata": ["a", "c"]}]


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
    second = go.Figure(first).update_traces(y=[7, 8])
    other = NUMBERS._replace(rows=[("é", 7.5)])
    variants = [
        Variant(("s",), Exhibit(first, "first caption", NUMBERS)),
        Variant(("log",), Exhibit(second, "second caption", other)),
    ]
    block = exhibit_block("one", (AXIS,), variants, "digits")
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
      found.hidden = [];
      each('.numbers', function (numbers) { found.hidden.push(numbers.hidden); });
      HTMLAnchorElement.prototype.click = function () {
        found.file = [this.download, this.href.slice(0, 5)];
      };
      URL.createObjectURL = (function (make) {
        return function (blob) { found.size = blob.size; return make.call(URL, blob); };
      })(URL.createObjectURL);
      document.querySelectorAll('button.csv')[1].click();
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
        "hidden": [True, False],
        "file": ["digits-one-2.csv", "blob:"],
        "size": len("what,y\r\né,7.5\r\n".encode()),
        "printed": ["#ffffff", 7],
        "after": "#15191e",
    }
