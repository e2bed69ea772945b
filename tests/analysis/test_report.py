from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.exhibits.gallery import EXHIBITS
from analysis.headline import headline, unfinished_cells, warnings
from analysis.html_page import Html, page, table, text
from analysis.report import SECTIONS, build_report, write_report
from analysis.results import load, rows_to_frame
from rc_core.cells import Cell, Grid
from rc_core.recipes import preset

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.9,), seeds=(42, 43))

ATTRIBUTE_WITH_ADDRESS = re.compile(r"""(?:src|href)\s*=\s*\\?["'`]?\s*(?:https?:)?//""", re.IGNORECASE)


def data_of(html: str) -> dict[str, Any]:
    """What the page's data scripts hold, by their names."""
    found = re.findall(r'<script type="application/json" id="([a-z0-9-]+)">(.*?)</script>', html)
    return {name: json.loads(content) for name, content in found}


def without_library(html: str) -> str:
    """The report without plotly.js, in which words such as "failed" occur anyway."""
    start = html.index("<script>")
    return html[:start] + html[html.index("</script>", start) :]


def test_headline_of_the_digits_sweep(make_sweep: Any) -> None:
    # By hand: .866, .798, .835: mean .833, half width 4.302653 * .034044 / sqrt(3) = .084570
    assert headline(load(make_sweep())) == (
        "At target sparsity 0.95 training accuracy is higher at p = 0 than at p = 1 (mean paired difference "
        "+0.833, 95% t-interval +0.748 to +0.918, n = 3 seeds)."
    )


def test_headline_does_not_overclaim(make_sweep: Any) -> None:
    one_seed = headline(load(make_sweep("one", SMALL)))
    assert "the only seed with both cells finished (42)" in one_seed
    assert "0.874 higher at p = 0" in one_seed
    assert one_seed.endswith("One seed gives no interval: nothing is claimed.")

    def noisy(cell: Cell) -> float:
        return {(0.0, 42): 0.9, (0.0, 43): 0.5, (1.0, 42): 0.7, (1.0, 43): 0.6}[cell.randomization, cell.seed]

    # +.2 and -.1: mean .05, s = .212132, half width 12.706205 * .15 = 1.905931
    assert headline(load(make_sweep("noisy", PAIR, accuracy=noisy))) == (
        "At target sparsity 0.9 the training accuracies at p = 0 and p = 1 cannot be told apart (mean paired "
        "difference +0.050, 95% t-interval -1.856 to +1.956, n = 2 seeds: it includes 0)."
    )
    lacking = headline(load(make_sweep("lacking", missing=["prune-p1.00-s43-dns-S0.950"])))
    assert "n = 2 seeds" in lacking
    assert lacking.endswith("1 more seed lacks a finished cell there.")
    unstarted = make_sweep("unstarted", PAIR, missing=[cell.cell_id for cell in PAIR.cells()])
    assert headline(load(unstarted)) == (
        "No comparison yet: at target sparsity 0.9 no seed has finished both p = 0 and p = 1."
    )
    assert headline(rows_to_frame([])).startswith("No comparison: it needs two randomizations")


def test_warnings_name_everything_to_know(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            failures={"prune-p1.00-s42-dns-S0.900": "RuntimeError: boom"},
            missing=["prune-p1.00-s43-dns-S0.900"],
            changes={
                "train-p1.00-s44": {"train_accuracy": 0.97},
                "prune-p0.50-s44-dns-S0.500": {"code_version": "0.2.0", "train_accuracy": None},
            },
        )
    )
    found = warnings(frame)
    assert found[0].startswith("2 of 54 cells are not finished (1 failed, 1 missing).")
    assert found[1].startswith("n = 3 seeds: intervals are wide")
    assert "1 of 9 finished dense networks" in found[2]
    assert "train-p1.00-s44 (0.970)" in found[2]
    assert "no training accuracy (not a number): prune-p0.50-s44-dns-S0.500" in found[3]
    assert found[4] == (
        "The cells come from 2 code versions (0.1.0+g1234567, 0.2.0). Compare cells of one version only."
    )
    assert len(found) == 5
    assert unfinished_cells(frame) == [
        ("prune-p1.00-s42-dns-S0.900", "failed", "RuntimeError: boom"),
        ("prune-p1.00-s43-dns-S0.900", "missing", ""),
    ]


def test_five_seeds_without_flaw_have_no_warning(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.9,), seeds=(1, 2, 3, 4, 5))
    path = make_sweep(grid=grid, accuracy=lambda cell: 1.0)
    assert warnings(load(path)) == []
    assert "Before you believe it" not in build_report(path)


def test_report_is_one_file_without_any_remote_address(make_sweep: Any, tmp_path: Path) -> None:
    grid = Grid(
        randomizations=(0.0, 0.25, 0.5, 0.75, 1.0),
        sparsities=(0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97),
        seeds=(42, 43),
    )
    folder = make_sweep(grid=grid, accuracy=lambda cell: 0.1 + 0.9 / (1 + cell.seed % 7), num_points=50)
    out = write_report(folder, tmp_path / "deep" / "report.html")
    html = out.read_text(encoding="utf-8")
    assert len(html.encode()) < 6_000_000
    assert not ATTRIBUTE_WITH_ADDRESS.search(html)
    for address in ("cdn.plot.ly", "cloud.plotly.com", "plotly.com/", "jsdelivr", "cartocdn", "mapbox.com/"):
        assert f'"https://{address}' not in html
        assert f"//{address}" not in re.sub(r"/\*.*?\*/", "", html, flags=re.DOTALL).replace(
            "see https://plotly.com/javascript/animations/",
            "",  # the wording of an error message
        )
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:link|img|iframe|base)\b", without_library(html))
    assert html.count("plotly.js v") == 1
    assert [file.name for file in out.parent.iterdir()] == ["report.html"]


def test_report_holds_every_exhibit_settings_and_provenance(make_sweep: Any) -> None:
    html = without_library(build_report(make_sweep()))
    assert "mean paired difference +0.833" in html
    assert "label noise itself" in html
    shown = [*EXHIBITS]
    shown.remove("published")  # the recipe is not the paper's
    assert re.findall(r'<figure id="figure-([a-z]+)">', html) == shown
    assert html.count("Numbers behind this figure") == len(shown)
    for name in shown:
        assert EXHIBITS[name].title in html
    assert "<tr><td>train.num_steps<td>600\n" in html
    assert "<tr><td>torch<td>2.14.0\n" in html
    assert "d" * 64 in html
    assert "00042" + "b" * 59 in html
    assert "randomizations 0, 0.5, 1; sparsities 0.5, 0.7, 0.8, 0.9, 0.95; seeds 42, 43, 44" in html
    assert "54 finished cells took 135 s of their own time" in html
    figures = [content for name, content in data_of(html).items() if name.startswith("data-")]
    assert len(figures) == len(shown)
    assert all({"data", "layout"} <= figure.keys() for figure in figures)
    links = re.findall(r'<a href="#([a-z-]+)">', html)
    assert links == re.findall(r'<h2 id="([a-z-]+)">', html)
    assert links[-2:] == ["every-cell", "settings-and-provenance"]


def test_every_exhibit_has_a_place_in_the_report() -> None:
    assert sorted(name for section in SECTIONS for name in section.exhibits) == sorted(EXHIBITS)


def test_published_numbers_stand_beside_their_recipe_only(make_sweep: Any) -> None:
    html = build_report(make_sweep(grid=SMALL, recipe=preset("paper").recipe))
    assert 'id="figure-published"' in html
    assert "The recipe is the paper&#x27;s" in html


def test_csv_holds_the_whole_table_unrounded(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=tuple(range(100)))

    def accuracy(cell: Cell) -> float:
        return 1 - cell.seed / 300

    html = without_library(build_report(make_sweep("many", grid, accuracy=accuracy)))
    content = data_of(html)
    cells = list(csv.DictReader(io.StringIO(content["csv-cells"])))
    assert len(cells) == 600
    assert next(row for row in cells if row["cell"] == "train-p0.00-s7") == {
        "cell": "train-p0.00-s7",
        "status": "done",
        "target sparsity": "",
        "achieved": "",
        "training accuracy": repr(1 - 7 / 300),
        "test accuracy": "0.95",
    }
    assert 'data-csv="csv-cells" data-file="many-cells.csv"' in html
    tradeoff = list(csv.DictReader(io.StringIO(content["csv-tradeoff-0"])))
    assert [(row["p"], row["S"], row["n"]) for row in tradeoff[:2]] == [
        ("0.0", "dense", "100"),
        ("0.0", "0.5", "100"),
    ]
    # mean of 0 to 99 is 49.5; 1 - 49.5 / 300
    assert float(tradeoff[0]["mean"]) == pytest.approx(0.835, abs=1e-12)
    assert float(tradeoff[0]["seed 7"]) == 1 - 7 / 300


def test_variants_are_the_options_that_the_section_offers(make_sweep: Any) -> None:
    content = data_of(without_library(build_report(make_sweep(grid=SMALL))))
    assert list(content["variants-tradeoff"]) == [
        f"{metric}|{value}|{axis}"
        for metric in ("train_accuracy", "test_accuracy")
        for value in ("absolute", "drop")
        for axis in ("sparsity", "halvings")
    ]
    assert [change["table"] for change in content["variants-tradeoff"].values()] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(content["variants-curves"]) == ["step", "epoch", "wall_seconds"]
    assert "variants-surgery" not in content


def test_report_escapes_every_text(make_sweep: Any) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    html = build_report(
        make_sweep(
            "a<b>c", failures={"train-p1.00-s42": attack}, changes={"train-p0.00-s42": {"device": attack}}
        )
    )
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "<b>digits</b>" not in html
    assert "rcsweep run digits --name &lt;b&gt;digits&lt;/b&gt;" in html
    assert "<title>a&lt;b&gt;c: sweep report</title>" in html


def test_report_of_a_sweep_without_results_and_of_single_cells(make_sweep: Any) -> None:
    unstarted = make_sweep("unstarted", SMALL, missing=[cell.cell_id for cell in SMALL.cells()])
    html = without_library(build_report(unstarted))
    assert "No comparison yet" in html
    assert "6 of 6 cells are not finished (6 missing)" in html
    loose = without_library(build_report(make_sweep("loose", SMALL, with_spec=False)))
    assert "single cells without a sweep.json" in loose
    assert "0.874 higher" in loose


def test_report_goes_to_html_only(make_sweep: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the name must end in \.html"):
        write_report(make_sweep(grid=SMALL), tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def test_page_parts_escape_unless_they_are_markup() -> None:
    assert text("a < b") == "a &lt; b"
    assert text(Html("<b>")) == "<b>"
    assert '<table class="labels-1" aria-label="a&lt;b">' in table(("x", "y"), [("&", 1)], label="a<b")
    assert "<tr><td>&amp;<td>1\n" in table(("x", "y"), [("&", 1)])
    assert '<td class="any">' + 31 * "x" in table(("x",), [(31 * "x",)])
    assert page("a & b", Html("")).startswith("<!doctype html>")
