from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.headline import headline, unfinished_cells, warnings
from analysis.html_page import Html, page, table, text
from analysis.report import build_report, threshold_text, write_report
from analysis.results import load, rows_to_frame
from analysis.statistics import Threshold
from rc_core.cells import Cell, Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
PAIR = Grid(randomizations=(0.0, 1.0), sparsities=(0.9,), seeds=(42, 43))

ATTRIBUTE_WITH_ADDRESS = re.compile(r"""(?:src|href)\s*=\s*\\?["'`]?\s*(?:https?:)?//""", re.IGNORECASE)


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
    out = write_report(make_sweep(num_points=50), tmp_path / "deep" / "report.html")
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


def test_report_holds_numbers_settings_and_provenance(make_sweep: Any) -> None:
    html = without_library(build_report(make_sweep()))
    assert "mean paired difference +0.833" in html
    assert "label noise itself" in html
    for name in ("train-accuracy", "accuracy-kept", "accuracy-redrawn", "test-accuracy"):
        assert f'id="figure-tradeoff-{name}"' in html
    assert 'id="figure-grid"' in html
    assert 'id="figure-curves"' in html
    assert html.count("Numbers behind this figure") == 7
    assert "0.133 ± 0.050<small>n = 3 of 3</small>" in html
    assert '<td class="label">train.num_steps</td><td class="label">600</td>' in html
    assert '<td class="label">torch</td><td class="label">2.14.0</td>' in html
    assert "d" * 64 in html
    assert "00042" + "b" * 59 in html
    assert "randomizations 0, 0.5, 1; sparsities 0.5, 0.7, 0.8, 0.9, 0.95; seeds 42, 43, 44" in html
    assert "54 finished cells took 135 s of their own time" in html
    figures = re.findall(r'<script type="application/json" id="data-[a-z-]+">(.*?)</script>', html)
    assert len(figures) == 7
    assert all({"data", "layout"} <= json.loads(figure).keys() for figure in figures)


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


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (Threshold(0.0, 1, 0.7, 0.9, "none"), "0.7"),
        (Threshold(0.0, 1, 0.9, None, "right"), "≥ 0.9"),
        (Threshold(0.0, 1, None, 0.0, "left"), "< 0.5"),
        (Threshold(0.0, 1, 0.5, 0.9, "missing"), "? (≥ 0.5)"),
        (Threshold(0.0, 1, None, None, "missing"), "?"),
    ],
)
def test_threshold_as_text(threshold: Threshold, expected: str) -> None:
    assert threshold_text(threshold, 0.5) == expected


def test_page_parts_escape_unless_they_are_markup() -> None:
    assert text("a < b") == "a &lt; b"
    assert text(Html("<b>")) == "<b>"
    assert '<td class="label">&amp;</td><td class="n">1</td>' in table(("x", "y"), [("&", 1)])
    assert page("a & b", Html("")).startswith("<!doctype html>")
