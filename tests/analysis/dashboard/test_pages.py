"""Every page for whole, empty, half-finished, failed and one-seed experiments."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from analysis.dashboard.filters import Filters, parse
from analysis.dashboard.pages.all_pages import NAVIGATION, PAGES
from analysis.exhibits.gallery import EXHIBITS
from rc_core.cells import Grid
from rc_core.experiment import LOG_FILE
from tests.analysis.conftest import SPARSITIES, MakeSweep
from tests.analysis.dashboard.components import links, of_type, text, with_id
from tests.analysis.dashboard.conftest import OpenPage

ONE_SEED = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=SPARSITIES, seeds=(42,))
SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
PARENT, CHILD = "train-p1.00-s42", "prune-p1.00-s42-dns-S0.900"
# Slug of each page with exhibits: their names.
EXHIBITS_OF = {
    "tradeoff": ["tradeoff"],
    "grid": ["heatmap"],
    "threshold": ["threshold"],
    "curves": ["curves"],
    "surgery": ["surgery"],
    "gap": ["gap"],
    "memory": ["memorization", "forgetting"],
    "cost": ["cost", "slots"],
    "published": ["published"],
}
HALF = {
    "missing": ["prune-p0.00-s43-dns-S0.900"],
    "running": [CHILD],
    "failures": {"train-p1.00-s43": "RuntimeError: out of paper"},
}


def test_every_exhibit_has_its_page() -> None:
    assert sorted(name for names in EXHIBITS_OF.values() for name in names) == sorted(EXHIBITS)
    assert [page.slug for page in NAVIGATION] == [slug for slug in PAGES if slug != "trial"]


@pytest.mark.parametrize(
    ("slug", "kind"),
    [
        *itertools.product(EXHIBITS_OF, ["whole", "half", "one seed"]),
        ("tradeoff", "single cells"),
        ("cost", "single cells"),
    ],
)
def test_figures_have_caption_table_and_file(
    make_sweep: MakeSweep, open_page: OpenPage, slug: str, kind: str
) -> None:
    folder = {
        "whole": lambda: make_sweep(grid=SMALL),
        "half": lambda: make_sweep(grid=SMALL, **HALF),
        "one seed": lambda: make_sweep(grid=ONE_SEED),
        "single cells": lambda: make_sweep(grid=SMALL, with_spec=False),
    }[kind]()
    page = PAGES[slug].content(open_page(folder), Filters())
    assert [heading["children"] for heading in of_type(page, "H1")] == [PAGES[slug].title]
    for name in EXHIBITS_OF[slug]:
        plot = with_id(page, f"plot-{name}")["props"]
        caption = with_id(page, f"caption-{name}")["props"]["children"]
        assert plot["role"] == "group"
        assert plot["aria-label"] == caption
        assert caption
        graph = with_id(page, f"graph-{name}")["props"]
        assert graph["figure"]["layout"]["uirevision"]
        assert graph["config"]["showSendToCloud"] is False
        assert with_id(page, f"rows-{name}")["type"] == "Tbody"
        assert f"/download/digits/{name}.csv" in links(page)
    for select in of_type(page, "Select"):
        assert select["id"] in {label["htmlFor"] for label in of_type(page, "Label")}
        assert sum(option["props"]["selected"] for option in select["children"]) == 1


@pytest.mark.parametrize("slug", PAGES)
def test_pages_of_nothing(tmp_path: Path, open_page: OpenPage, slug: str) -> None:
    page = PAGES[slug].content(open_page(tmp_path / "later", "x"), Filters())
    assert len(of_type(page, "H1")) == 1


def test_overview_counts(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    # 4 trainings and 8 prunings: 1 missing, 1 running, 1 failed with its 2 children, so 7 are finished.
    page = PAGES[""].content(open_page(make_sweep(grid=SMALL, **HALF)), Filters())
    said = text(page)
    assert "7 of 12 cells finished, 58%" in said
    counts = [[text(cell) for cell in row["children"]] for row in of_type(with_id(page, "counts"), "Tr")[1:]]
    assert counts == [
        ["✓ finished", "7"],
        ["▶ running", "1"],
        ["✕ failed", "1"],
        ["✕ parent failed", "2"],
        ["○ missing", "1"],
    ]
    assert "running: process 1 on lab" in said
    # At S = 0.9, p = 1 neither seed is finished.
    assert "no seed has finished both p = 0 and p = 1" in said
    assert "5 of 12 cells are not finished" in said
    assert "RuntimeError: out of paper" in said
    assert "rcsweep retry digits --storage /data" in said
    assert "0.00 h in 7 finished cells" in said  # 7 x 2.5 s
    assert "/e/digits/trials?status=failed" in links(page)
    assert "/e/digits/trial/train-p1.00-s43" in links(page)


def test_links_keep_the_filters(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    filters = parse("?seed=42&live=off&tradeoff.axis=halvings")
    page = PAGES["grid"].content(open_page(make_sweep(grid=SMALL)), filters)
    squares = links(with_id(page, "grid-links"))
    assert squares == [
        f"/e/digits/trials?p={p}&S={sparsity}&seed=42&live=off"
        for p in (0, 1)
        for sparsity in ("dense", "0.5", "0.9")
    ]
    assert with_id(page, "num-shown")["props"]["children"] == "6 of 12 cells"


def test_a_wrong_choice_is_said_in_the_figures_place(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    page = PAGES["tradeoff"].content(open_page(make_sweep(grid=SMALL)), parse("?tradeoff.axis=<b>"))
    said = text(with_id(page, "problem-tradeoff"))
    assert "This figure cannot be drawn: axis" in said
    assert "must be one of sparsity, halvings" in said
    assert of_type(page, "Graph") == []


def test_controls_choose_the_figure(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    data = open_page(make_sweep(grid=SMALL))
    page = PAGES["tradeoff"].content(data, parse("?tradeoff.metric=test_accuracy"))
    assert with_id(page, "caption-tradeoff")["props"]["children"].startswith("Test accuracy")
    (chosen,) = [
        option["props"]["children"]
        for option in with_id(page, "select-tradeoff-metric")["props"]["children"]
        if option["props"]["selected"]
    ]
    assert chosen == "test accuracy"


def test_dark_figures_are_on_dark_paper(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    page = PAGES["tradeoff"].content(open_page(make_sweep(grid=SMALL), is_dark=True), Filters())
    assert with_id(page, "graph-tradeoff")["props"]["figure"]["layout"]["paper_bgcolor"] == "#15191e"


def test_trials_are_sorted_filtered_and_paged(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    grid = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=SPARSITIES, seeds=(42, 43, 44))
    data = open_page(make_sweep(grid=grid))

    def cells(search: str) -> list[str]:
        rows = with_id(PAGES["trials"].content(data, parse(search)), "trials")["props"]["children"]
        return [text(of_type(row, "Td")[0]["children"]) for row in rows]

    assert len(cells("")) == 50
    assert len(cells("?page=2")) == 4
    assert cells("?page=99") == cells("?page=2")
    assert cells("?p=0.5&S=0.9") == [f"prune-p0.50-s{seed}-dns-S0.900" for seed in (42, 43, 44)]
    # Measured at p = 0.5, S = 0.9: .504, .488, .487.
    assert cells("?p=0.5&S=0.9&sort=train_accuracy") == [
        f"prune-p0.50-s{seed}-dns-S0.900" for seed in (44, 43, 42)
    ]
    assert cells("?p=0.5&S=0.9&sort=-train_accuracy")[0] == "prune-p0.50-s42-dns-S0.900"
    assert cells("?p=0.25") == ["No cell matches."]
    page = PAGES["trials"].content(data, parse("?sort=seed&page=2"))
    assert with_id(page, "head-seed")["props"]["aria-sort"] == "ascending"
    assert with_id(page, "head-status")["props"]["aria-sort"] == "none"
    assert with_id(page, "sort-seed")["props"]["href"] == "/e/digits/trials?sort=-seed"
    with pytest.raises(ValueError, match="sort = 'bad': must be one of cell_id"):
        PAGES["trials"].content(data, parse("?sort=bad"))


def test_trial(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    folder = make_sweep(grid=SMALL)
    (folder / CHILD / LOG_FILE).write_text("attempt 1 on lab\n" + "x" * 70_000 + "\nlast words\n")
    page = PAGES["trial"].content(open_page(folder, CHILD), Filters())
    said = text(page)
    assert "✓ finished · pruning to S = 0.9 at p = 1, seed 42" in said
    assert f"/e/digits/trial/{PARENT}" in links(page)
    assert "last words" in said
    assert "attempt 1 on lab" not in said
    assert len(with_id(page, "log")["props"]["children"][-1]["props"]["children"]) == 65_536
    assert f"rcsweep retry digits {CHILD} --storage /data" in said
    assert f"rcsweep prune --parent {folder}/{PARENT} --sparsity 0.9 --out {CHILD}-again" in said
    assert "train_accuracy 0.1180" in said
    parent = PAGES["trial"].content(open_page(folder, PARENT), Filters())
    assert f"/e/digits/trial/{CHILD}" in links(parent)
    assert f"rcsweep train --recipe digits --randomization 1 --seed 42 --out {PARENT}-again" in text(parent)


def test_trial_whose_settings_differ(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    folder = make_sweep(grid=SMALL)
    file = folder / PARENT / "record.json"
    record = json.loads(file.read_text())
    sweep = json.loads((folder / "sweep.json").read_text())
    record["recipe"] = sweep["recipe"] | {"width": 99}
    file.write_text(json.dumps(record))
    page = PAGES["trial"].content(open_page(folder, PARENT), Filters())
    assert "1 differ from the experiment's recipe" in text(with_id(page, "settings"))
    assert "width 99 ≠ 8" in text(with_id(page, "settings"))


def test_trial_that_failed(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    folder = make_sweep(grid=SMALL, failures={PARENT: "RuntimeError: <script>alert(1)</script>"})
    (folder / PARENT / "record.json").write_text("{")
    page = PAGES["trial"].content(open_page(folder, PARENT), Filters())
    assert "RuntimeError: <script>alert(1)</script>" in text(with_id(page, "trial-error"))
    assert "Curves are there once the cell is finished." in text(page)
    child = PAGES["trial"].content(open_page(folder, CHILD), Filters())
    assert "parent failed" in text(with_id(child, "trial-status"))


def test_trial_that_is_none(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    page = PAGES["trial"].content(open_page(make_sweep(grid=SMALL), "../digits"), Filters())
    assert "digits has no cell '../digits'" in text(page)


def test_comparison(make_sweep: MakeSweep, open_page: OpenPage, tmp_path: Path) -> None:
    make_sweep("other", grid=SMALL, accuracy=lambda cell: 0.5)
    folder = make_sweep(grid=SMALL)
    (tmp_path / "old").mkdir()
    shutil.copytree(tmp_path / "other", tmp_path / "old" / "deep")
    data = open_page(folder)
    page = PAGES["compare"].content(data, Filters())
    options = [option["props"]["value"] for option in with_id(page, "select-with")["props"]["children"]]
    assert options == ["", "other"]
    for other in ("other", "old/deep"):
        shown = PAGES["compare"].content(data, Filters(other=other))
        # Dense networks: 1.0 here, 0.5 there.
        first = with_id(shown, "rows-comparison")["props"]["children"][0]
        assert text(first).startswith("0 dense 0.5000")
    for name in ("../x", "/etc", "old", "..", "old/../other"):
        missing = PAGES["compare"].content(data, Filters(other=name))
        assert f"There is no experiment {name!r}" in text(missing)
        assert of_type(missing, "Graph") == []


def test_settings(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    page = PAGES["settings"].content(open_page(make_sweep(grid=SMALL)), Filters())
    assert links(page) == [
        "/download/digits/report.html",
        "/download/digits/trials.csv",
        "/download/digits/sweep.json",
    ]
    said = text(page)
    assert "randomization 0, 1; sparsity 0.5, 0.9; seeds 42, 43" in said
    assert "train.num_steps 600" in said
    assert "rcsweep run digits --name <b>digits</b>" in said


def test_memory_says_where_description_length_will_stand(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    page = PAGES["memory"].content(open_page(make_sweep(grid=SMALL)), Filters())
    assert "description length of the pruned networks will stand here" in text(page)


def test_hosts_write_no_links_into_figures(make_sweep: MakeSweep, open_page: OpenPage) -> None:
    folder = make_sweep(grid=SMALL)
    file = folder / CHILD / "record.json"
    record = json.loads(file.read_text())
    begun = {
        "started": "2026-01-02T03:04:05+00:00",
        "host": '<a href="https://evil.example">host</a>',
        "pid": 1,
    }
    record["provenance"] |= {"attempts": [begun], "ended": "2026-01-02T03:05:05+00:00"}
    file.write_text(json.dumps(record))
    page = PAGES["cost"].content(open_page(folder), Filters())
    drawn = json.dumps(with_id(page, "graph-slots")["props"]["figure"], default=str)
    assert "evil.example" in drawn
    assert "<a " not in drawn
