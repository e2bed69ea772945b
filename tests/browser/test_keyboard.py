"""Everything can be reached and done with the keyboard alone, and the focus is seen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element);
    return {
        name: element.id || (element.matches('#nav a, .brand a') ? element.textContent : element.className)
            || element.parentElement.id || element.tagName,
        isSeen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    };
}"""
# Each comes after the one before it.
ORDER = (
    "skip",
    "digits",
    "refresh",
    "pause",
    "theme",
    "Overview",
    "Settings",
    "select-p",
    "select-status",
    "select-tradeoff-metric",
    "select-tradeoff-axis",
    "numbers-tradeoff",
    "csv-tradeoff",
    "static-rows-tradeoff",
)


def tab_stops(page: Page, limit: int = 80) -> list[str]:
    """Names of what the tab key reaches, in order; each shows that it has the focus."""
    names: list[str] = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused["name"] == "BODY":
            break
        assert focused["isSeen"], f"{focused['name']} does not show that it has the focus"
        names.append(focused["name"])
    return names


def test_tab_key_reaches_everything_in_the_order_of_the_page(window: Visitor) -> None:
    page = window.visit("/e/digits/tradeoff")
    page.evaluate("document.getElementById('numbers-tradeoff').open = true")
    names = tab_stops(page)
    places = [names.index(name) for name in ORDER]
    assert all(before < after for before, after in pairwise(places)), names
    assert len(names) < 60


def test_skip_link_leads_past_the_navigation(window: Visitor) -> None:
    page = window.visit("/e/digits/tradeoff")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#select-p")).to_be_focused()


def test_folds_links_and_selects_work_by_keyboard(window: Visitor) -> None:
    page = window.visit("/e/digits/tradeoff")
    page.locator("#numbers-tradeoff > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rows-tradeoff")).to_be_visible()
    page.locator("#select-p").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#num-shown")).to_have_text("6 of 12 cells")
    expect(page.locator("#select-p")).to_be_focused()
    page.locator("#nav a:has-text('Trials')").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Trials")
    expect(page.locator("h1")).to_be_focused()  # who does not see the page hears where they are
    page.locator("#grid-links a, #trials a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("train-p0.00-s42")


def test_squares_of_the_heatmap_have_links_beside_them(window: Visitor) -> None:
    page = window.visit("/e/digits/grid")
    link = page.get_by_role("link", name="2 of 2 finished: trials at p = 1, S = 0.9; all finished")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#num-shown")).to_have_text("2 of 12 cells")
