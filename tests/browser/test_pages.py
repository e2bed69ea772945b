"""Every page of every kind of experiment: opens, is whole, asks no other machine, can be used by all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from analysis.dashboard.addresses import page_path, trial_path
from analysis.dashboard.pages.all_pages import NAVIGATION
from benchmarks.chromium import wait_until_drawn
from benchmarks.dash_process import DashProcess
from tests.browser.conftest import FAILED, NUM_BIG_CELLS
from tests.browser.visitor import (
    CONTRAST,
    DARK,
    NARROW,
    Visitor,
    hindrances,
    overflow_pixels,
    wait_for_background,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = ("train-p0.00-s42", "prune-p1.00-s43-dns-S0.900")
ADDRESSES = [
    "/",
    *(page_path("digits", page.slug) for page in NAVIGATION),
    page_path("digits", "compare") + "?with=half",
    *(trial_path("digits", cell_id) for cell_id in CELLS),
]


def assert_whole(page: Page) -> None:
    """One heading, a title, a figure's every part; no sentence that says that something cannot be made."""
    assert page.locator("h1").count() == 1
    assert page.title().endswith("rcsweep")
    assert "cannot be" not in page.inner_text("#page")
    assert page.locator("#problem").inner_text() == ""
    for figure in page.locator("#page figure").all():
        caption = figure.locator("figcaption").inner_text()
        assert len(caption) > 40
        assert figure.locator(".plot").get_attribute("aria-label") == caption
        assert figure.locator("details a[download]").count() == 1


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_opens_whole_and_can_be_used_by_all_in_both_modes(window: Visitor, address: str) -> None:
    page = window.visit(address)
    assert_whole(page)
    assert overflow_pixels(page) <= 0
    for fold in page.locator("#page details").all():
        fold.locator("summary").first.click()
    assert hindrances(page) == []
    page.emulate_media(color_scheme="dark")
    wait_for_background(page, DARK)
    wait_until_drawn(page)
    assert hindrances(page, CONTRAST) == []


def test_no_page_is_wider_than_a_narrow_window(open_window: Callable[..., Visitor]) -> None:
    window = open_window(viewport=NARROW)
    page = window.visit(page_path("digits"))
    for each in NAVIGATION[1:]:
        window.turn_to(each.title)
        assert overflow_pixels(page) <= 0, each.title
        assert page.locator("#nav a[aria-current=page]").is_visible()
        link = page.locator("#nav a[aria-current=page]").bounding_box()
        assert link is not None
        assert 0 <= link["x"] <= NARROW["width"] - link["width"], f"{each.title} is out of sight"
        assert hindrances(page) == []


@pytest.mark.parametrize("experiment", ["half", "failed", "big"])
def test_every_page_opens_by_its_link(window: Visitor, experiment: str) -> None:
    page = window.visit(page_path(experiment))
    assert_whole(page)
    for each in NAVIGATION[1:]:
        window.turn_to(each.title)
        assert_whole(page)
        assert page.locator("#nav a[aria-current=page]").inner_text() == each.title


def test_half_finished_experiment_says_how_far_it_is(window: Visitor) -> None:
    page = window.visit(page_path("half"))
    assert page.locator("#progress").inner_text() == "7 of 12 cells finished, 58%"
    counts = dict(row.split("\t") for row in page.inner_text("#counts tbody").splitlines())
    assert counts == {"✓ finished": "7", "▶ running": "0", "✕ failed": "0", "✕ parent failed": "0"} | {
        "○ missing": "5"
    }


def test_failed_cells_lead_to_their_error_and_to_the_command_that_tries_again(
    window: Visitor, experiments: Path
) -> None:
    page = window.visit(page_path("failed"))
    assert page.locator("#progress").inner_text() == "10 of 12 cells finished, 83%"
    assert "CheckpointError" in page.inner_text("#failures")
    window.follow(f"#failures a:has-text('{FAILED[0]}')", FAILED[0])
    assert "SHA-256" in page.inner_text("#trial-error")
    page.click("#traceback summary")
    assert "Traceback (most recent call last)" in page.inner_text("#traceback pre")
    assert f"rcsweep retry failed {FAILED[0]} --storage {experiments}" in page.inner_text("#commands")
    assert hindrances(page) == []


def test_trials_of_a_big_experiment_come_a_page_at_a_time(window: Visitor) -> None:
    page = window.visit(page_path("big", "trials"))
    assert f"of {NUM_BIG_CELLS:,} cells" in page.inner_text("#num-shown")
    assert page.locator("#trials tr").count() == 50
    page.click("#pager a:has-text('Last')")
    page.wait_for_url("**/trials?page=60")
    expect(page.locator("#pager")).to_contain_text("Page 60 of 60")
    assert page.locator("#trials tr").count() == 50
    assert hindrances(page) == []


def test_folder_without_an_experiment_says_so_on_every_page(
    start_dash: Callable[..., DashProcess], open_window: Callable[..., Visitor], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    window = open_window(start_dash(str(tmp_path / "empty")).origin)
    page = window.visit(page_path("empty"))
    for each in NAVIGATION:
        window.turn_to(each.title)
        assert "here yet" in page.inner_text("#page")
    assert hindrances(page) == []


def test_pages_that_are_none_lead_back(window: Visitor) -> None:
    for address in ("/e/nothing", "/e/digits/nothing", "/e/..%2F..%2Fetc", "/e/digits/trial/nothing"):
        page = window.visit(address)
        assert page.inner_text("h1") in ("Not found", "No such trial")
        assert page.locator("#page a").count() == 1
    page = window.visit("/e/digits/trials?p=2")
    assert "p = '2': must be a number from 0 to 1" in page.inner_text("#page")
