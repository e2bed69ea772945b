"""Chromium, which neither calls home nor reaches any other machine, and what it is asked about a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What a page asks of another machine fails at once; the request is still seen.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# A page is there once it has its heading and every figure of it is drawn. Folds that are shut draw nothing.
_IS_DRAWN = """() => {
    if (!document.querySelector('#page h1')) return false;
    if (document.querySelector('#page [data-dash-is-loading=true]')) return false;
    return Array.from(document.querySelectorAll('#page .plot')).every(
        plot => plot.querySelector('.js-plotly-plot .main-svg'));
}"""
DRAW_SECONDS = 60.0


def chromium_path() -> str | None:
    """Of the browser that is installed; None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser without a window.

    Raises:
        FileNotFoundError: none is installed.
    """
    path = chromium_path()
    if path is None:
        raise FileNotFoundError("there is no chromium on the PATH; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def wait_until_drawn(page: Page) -> None:
    """Wait for a page of the dashboard to be whole.

    Raises:
        playwright.sync_api.TimeoutError: it is not within `DRAW_SECONDS`.
    """
    page.wait_for_function(_IS_DRAWN, timeout=1000 * DRAW_SECONDS)
