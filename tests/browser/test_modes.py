"""Light and dark: the system's word, the switch, and both at the next visit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from benchmarks.chromium import wait_until_drawn
from tests.browser.visitor import DARK, LIGHT, Visitor, background, wait_for_background

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def wait_for_figure(page: Page, ink: str) -> None:
    """Wait for the figure's text to have a colour."""
    page.wait_for_function(
        """ink => {
            const text = document.querySelector('#graph-tradeoff .xtitle');
            return text && getComputedStyle(text).fill === ink;
        }""",
        arg=ink,
    )


LIGHT_INK, DARK_INK = "rgb(27, 31, 36)", "rgb(228, 231, 235)"  # #1b1f24 and #e4e7eb


def test_page_and_figure_follow_the_system_while_they_are_open(open_window: Callable[..., Visitor]) -> None:
    page = open_window(color_scheme="dark").visit("/e/digits/tradeoff")
    assert background(page) == DARK
    wait_for_figure(page, DARK_INK)
    expect(page.locator("#theme")).to_have_text("Light")
    page.emulate_media(color_scheme="light")
    wait_for_background(page, LIGHT)
    wait_for_figure(page, LIGHT_INK)
    expect(page.locator("#theme")).to_have_text("Dark")


def test_switch_wins_over_the_system_and_is_remembered(window: Visitor) -> None:
    page = window.visit("/e/digits/tradeoff")
    assert background(page) == LIGHT
    page.click("#theme")
    wait_for_background(page, DARK)
    wait_for_figure(page, DARK_INK)
    page.reload()
    wait_until_drawn(page)
    assert background(page) == DARK
    wait_for_figure(page, DARK_INK)
    page.click("#theme")
    wait_for_background(page, LIGHT)
    page.emulate_media(color_scheme="dark")  # what the system says is followed again
    wait_for_background(page, DARK)
