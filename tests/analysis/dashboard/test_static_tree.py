from __future__ import annotations

import json
import re
from pathlib import Path

from dash import html

from analysis.dashboard import static_tree as module
from analysis.dashboard.answers import Answers, View
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.pages.all_pages import PAGES
from analysis.dashboard.static_tree import ATTRIBUTE, static_tree
from rc_core.cells import Grid
from rc_core.storage import LocalStorage
from tests.analysis.conftest import MakeSweep
from tests.analysis.dashboard.components import nodes

SCRIPT = (Path(module.__file__).parent / "assets" / "static_tree.js").read_text()
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
# Dash needs about the square of this in microseconds to build a page.
MAX_COMPONENTS = 250


def test_tree_is_json_of_tags_attributes_and_texts() -> None:
    tree = html.Tr([html.Td("<b>1</b>", className="n"), html.Td(html.A([None, 2], href="/e/x"))])
    component = static_tree(tree, "rows", className="scroll").to_plotly_json()["props"]
    assert (component["id"], component["className"]) == ("rows", "scroll")
    assert json.loads(component[ATTRIBUTE]) == {
        "tag": "Tr",
        "attributes": {},
        "children": [
            {"tag": "Td", "attributes": {"className": "n"}, "children": ["<b>1</b>"]},
            {
                "tag": "Td",
                "attributes": {},
                "children": [{"tag": "A", "attributes": {"href": "/e/x"}, "children": ["", "2"]}],
            },
        ],
    }


def test_the_browser_knows_every_tag_and_attribute_and_pages_stay_small(
    make_sweep: MakeSweep, tmp_path: Path
) -> None:
    tags = set(re.findall(r"'(\w+)'", SCRIPT[SCRIPT.index("TAGS =") : SCRIPT.index("];")]))
    attributes = SCRIPT[SCRIPT.index("ATTRIBUTES =") : SCRIPT.index("};")]
    make_sweep(grid=GRID, failures={"train-p1.00-s43": "no"}, missing=["prune-p0.00-s43-dns-S0.900"])
    answers = Answers(Experiments(LocalStorage(tmp_path)))
    paths = [f"/e/digits/{slug}" for slug in PAGES] + ["/", "/e/digits/trial/prune-p1.00-s42-dns-S0.900"]
    for path in paths:
        found = list(nodes(answers.content(View(path, "?with=digits", False)).parts))
        for node in found:
            if node["namespace"] != "browser":
                continue
            assert node["type"] in tags
            for name in set(node["props"]) - {"children"}:
                assert f"{name}:" in attributes or re.fullmatch(r"(aria|data)-[a-z]+", name)
        assert sum(node["namespace"] != "browser" for node in found) <= MAX_COMPONENTS
