"""Pages follow the experiment by themselves, and leave alone what has not changed and what people hold."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from analysis.dashboard.live_experiment import MAX_AGE_SECONDS
from analysis.dashboard.security import CALLBACK_PATH
from benchmarks.chromium import wait_until_drawn
from benchmarks.dash_process import DashProcess
from chaos.driver import Driver
from tests.browser.conftest import NOT_RUN, SWEEP_SECONDS
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TICK_MILLISECONDS = 10_000
NUM_SMOKE_CELLS = 6
CELL = NOT_RUN[0]


@pytest.fixture
def half(
    experiments: Path,
    start_dash: Callable[..., DashProcess],
    open_window: Callable[..., Visitor],
    tmp_path: Path,
) -> tuple[Visitor, Callable[[], None]]:
    """A window at a half-finished experiment of one's own, and what finishes one more of its cells."""
    shutil.copytree(experiments / "half", tmp_path / "half")

    def finish() -> None:
        shutil.copytree(experiments / "digits" / CELL, tmp_path / "half" / CELL)

    return open_window(start_dash("half", "--storage", str(tmp_path)).origin), finish


def answers(page: Page) -> list[float]:
    """Fills with the times of the page's questions to the server."""
    found: list[float] = []
    page.on(
        "request", lambda request: found.append(time.monotonic()) if CALLBACK_PATH in request.url else None
    )
    return found


def test_page_that_is_open_follows_a_sweep_from_before_its_start_to_its_end(
    start_dash: Callable[..., DashProcess], open_window: Callable[..., Visitor], tmp_path: Path
) -> None:
    window = open_window(start_dash("smoke", "--storage", str(tmp_path / "results")).origin)
    page = window.visit("/e/smoke")
    assert "nothing here yet" in page.inner_text("#page")
    page.evaluate("window.isTheSame = true")
    driver = Driver(["run", "smoke", "--storage", str(tmp_path / "results")], tmp_path / "output.txt")
    try:
        expect(page.locator("#progress")).to_contain_text(
            f"of {NUM_SMOKE_CELLS} cells finished", timeout=1000 * SWEEP_SECONDS
        )
        expect(page.locator("#progress")).to_have_text(
            f"{NUM_SMOKE_CELLS} of {NUM_SMOKE_CELLS} cells finished, 100%", timeout=1000 * SWEEP_SECONDS
        )
        assert driver.wait(SWEEP_SECONDS) == 0, driver.output
    finally:
        driver.end_processes()
    assert page.evaluate("window.isTheSame") is True
    page.click("#refresh")
    expect(page.locator("#measures")).to_contain_text("ended")
    window.follow("#nav a:has-text('Trade-off')", "Trade-off")


def test_counts_move_at_the_next_tick(half: tuple[Visitor, Callable[[], None]]) -> None:
    window, finish = half
    window.page.clock.install()
    page = window.visit("/e/half")
    expect(page.locator("#progress")).to_have_text("7 of 12 cells finished, 58%")
    finish()
    page.wait_for_timeout(1000 * MAX_AGE_SECONDS)  # until then, one look serves everybody
    page.clock.fast_forward(TICK_MILLISECONDS)
    expect(page.locator("#progress")).to_have_text("8 of 12 cells finished, 67%")


def test_paused_page_asks_nothing_until_it_goes_on(half: tuple[Visitor, Callable[[], None]]) -> None:
    window, finish = half
    window.page.clock.install()
    page = window.visit("/e/half")
    page.click("#pause")
    expect(page).to_have_url(re.compile(r"\?live=off$"))
    expect(page.locator("#pause")).to_have_text("Go on")
    finish()
    asked = answers(page)
    for _ in range(5):
        page.clock.fast_forward(TICK_MILLISECONDS)
    page.wait_for_timeout(500)
    assert asked == []
    expect(page.locator("#progress")).to_have_text("7 of 12 cells finished, 58%")

    page.click("#refresh")  # by hand, it may
    expect(page.locator("#progress")).to_have_text("8 of 12 cells finished, 67%")
    page.click("#pause")
    expect(page.locator("#pause")).to_have_text("Pause")
    expect(page).to_have_url(re.compile(r"/e/half$"))
    asked.clear()
    page.clock.fast_forward(TICK_MILLISECONDS)
    page.wait_for_timeout(1000)
    assert len(asked) == 1


def test_refresh_leaves_figure_fold_focus_and_place_alone(half: tuple[Visitor, Callable[[], None]]) -> None:
    window, finish = half
    page = window.visit("/e/half/tradeoff")
    page.click("#numbers-tradeoff > summary")
    page.focus("#csv-tradeoff")
    page.evaluate("window.scrollTo(0, 333)")
    page.evaluate(
        """() => {
            const plot = document.querySelector('#graph-tradeoff .js-plotly-plot');
            window.Plotly.relayout(plot, {'yaxis.range': [0.5, 1]});
            window.numDrawn = 0;
            plot.on('plotly_afterplot', () => { window.numDrawn += 1; });
        }"""
    )
    page.wait_for_timeout(500)
    page.evaluate("window.numDrawn = 0")
    with page.expect_response(lambda response: CALLBACK_PATH in response.url) as same:
        page.evaluate("document.getElementById('refresh').click()")  # the focus stays where it is
    page.wait_for_timeout(500)
    assert changed_ids(same.value.text()) == set()
    assert page.evaluate("window.numDrawn") == 0

    finish()
    with page.expect_response(lambda response: CALLBACK_PATH in response.url) as moved:
        page.evaluate("document.getElementById('refresh').click()")
    expect(page.locator("#num-shown")).to_have_text("12 of 12 cells")
    page.wait_for_function("() => window.numDrawn > 0")
    assert {"graph-tradeoff", "caption-tradeoff"} <= changed_ids(moved.value.text())
    wait_until_drawn(page)
    assert page.locator("#numbers-tradeoff").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.id") == "csv-tradeoff"
    assert page.evaluate("window.scrollY") == 333
    zoom = page.evaluate("document.querySelector('#graph-tradeoff .js-plotly-plot').layout.yaxis.range")
    assert zoom == [0.5, 1]


def changed_ids(answer: str) -> set[str]:
    """Of the components that the server changes."""
    return {name for name, _ in json.loads(answer)["response"]["answer"]["data"]["changes"]}


def test_page_says_that_the_experiment_is_gone_and_keeps_what_it_shows(
    experiments: Path,
    start_dash: Callable[..., DashProcess],
    open_window: Callable[..., Visitor],
    tmp_path: Path,
) -> None:
    shutil.copytree(experiments / "half", tmp_path / "half")
    window = open_window(start_dash("half", "--storage", str(tmp_path)).origin)
    page = window.visit("/e/half")
    shutil.rmtree(tmp_path / "half")
    page.click("#refresh")
    expect(page.locator("#problem")).to_contain_text("the experiment is gone")
    expect(page.locator("#progress")).to_have_text("7 of 12 cells finished, 58%")
