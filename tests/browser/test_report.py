"""The report, opened as a file, as somebody does who was sent it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from analysis.exhibits.gallery import EXHIBITS
from analysis.report import write_report
from tests.browser.visitor import (
    CONTRAST,
    DARK,
    LIGHT,
    NARROW,
    Visitor,
    background,
    download,
    hindrances,
    overflow_pixels,
    wait_for_background,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_IS_DRAWN = """() => {
    const drawings = Array.from(document.querySelectorAll('.drawing'));
    return drawings.length > 0 && drawings.every(drawing => drawing.querySelector('.main-svg'));
}"""


@pytest.fixture(scope="module", params=["digits", "failed"])
def report(
    request: pytest.FixtureRequest, experiments: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_report(
        str(experiments / request.param), str(tmp_path_factory.mktemp("report") / "report.html")
    )


@pytest.fixture
def open_report(browser: Browser, report: Path) -> Iterator[Callable[..., Page]]:
    opened: list[Visitor] = []

    def open_one(**options: object) -> Page:
        opened.append(Visitor(browser, report.as_uri(), **options))
        page = opened[-1].page
        page.goto(report.as_uri())
        page.wait_for_function(_IS_DRAWN)
        return page

    yield open_one
    for visitor in opened:
        visitor.context.close()
    assert [offence for visitor in opened for offence in visitor.offences] == []


def test_every_figure_is_drawn_and_can_be_used_by_all_in_both_modes(
    open_report: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_report()
    assert page.locator("h1").count() == 1
    assert page.locator("figure .main-svg").count() >= len(EXHIBITS) - 2
    assert overflow_pixels(page) <= 0
    assert background(page) == LIGHT
    assert hindrances(page) == []
    page.emulate_media(color_scheme="dark")
    wait_for_background(page, DARK)
    assert hindrances(page, CONTRAST) == []
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert hindrances(page, "scrollable-region-focusable", "label", "button-name", "link-name") == []
    assert overflow_pixels(page) <= 0
    table = page.locator("#figure-tradeoff .numbers:not([hidden])")
    file = download(page, "#figure-tradeoff .numbers:not([hidden]) button.csv", tmp_path)
    assert len(file.read_text().splitlines()) == table.locator("tr").count()


def test_mode_is_the_system_s_until_the_button_says_otherwise(open_report: Callable[..., Page]) -> None:
    page = open_report(color_scheme="dark", viewport=NARROW)
    assert background(page) == DARK
    assert overflow_pixels(page) <= 0
    page.locator("button.mode").first.click()
    wait_for_background(page, LIGHT)
    page.emulate_media(color_scheme="light")
    assert background(page) == LIGHT
