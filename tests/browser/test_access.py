"""Who is let in, and that texts from disk stay texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from analysis.dashboard.addresses import page_path, trial_path
from analysis.dashboard.pages.all_pages import NAVIGATION
from benchmarks.chromium import wait_until_drawn
from benchmarks.dash_process import DashProcess
from tests.browser.conftest import FAILED, HOSTILE
from tests.browser.visitor import Visitor, hindrances

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TOKEN = "correct-horse-battery"


def test_token_is_asked_once_and_then_stands_nowhere(
    experiments: Path, start_dash: Callable[..., DashProcess], browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    dash = start_dash("digits", "--storage", str(experiments), "--token-file", str(tmp_path / "token"))
    with Visitor(browser, dash.origin) as stranger:
        for address in ("/e/digits", "/e/digits?token=wrong-horse-battery", "/download/digits/trials.csv"):
            answer = stranger.page.goto(dash.origin + address)
            assert answer is not None
            assert answer.status == 401
            assert stranger.page.inner_text("h1") == "Token needed"
            assert "ends in ?token=" in stranger.page.inner_text("main")
            assert hindrances(stranger.page) == []
    with Visitor(browser, dash.origin) as guest:
        assert dash.address == f"{dash.origin}/e/digits?token={TOKEN}"
        page = guest.visit(f"/e/digits/trials?seed=42&token={TOKEN}&p=1")
        assert page.url == f"{dash.origin}/e/digits/trials?seed=42&p=1"
        assert page.locator("#trials tr").count() == 3
        (cookie,) = guest.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert TOKEN not in cookie["value"]
        assert page.evaluate("document.cookie") == ""
        page.reload()
        wait_until_drawn(page)
        assert page.locator("#trials tr").count() == 3
        assert guest.offences == []


def test_markup_in_names_errors_and_logs_is_shown_and_does_nothing(window: Visitor) -> None:
    window.context.add_init_script("window.numHits = 0; window.hit = () => { window.numHits += 1; };")
    window.visit("/")
    assert_harmless(window)
    page = window.visit(page_path(HOSTILE))
    assert page.inner_text("h1") == HOSTILE
    for each in NAVIGATION:
        window.turn_to(each.title)
        assert_harmless(window)
    window.visit(page_path("digits", "compare") + "?with=" + page_path(HOSTILE).removeprefix("/e/"))
    assert_harmless(window)
    page = window.visit(trial_path(HOSTILE, FAILED[0]))
    assert page.inner_text("#log pre").startswith("<script>hit()</script><img src=x onerror=hit()>")
    assert "<script>hit()</script>" in page.inner_text("#trial-error")
    assert_harmless(window)


def assert_harmless(window: Visitor) -> None:
    """No element of the page comes from a text, and none was run."""
    for bad in ("img", "script", "iframe", "[onerror]", "a[href^='javascript']"):
        assert window.page.locator(f"#page {bad}, header {bad}, nav {bad}").count() == 0, window.page.url
    assert window.page.evaluate("window.numHits") == 0, window.page.url
