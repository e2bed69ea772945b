"""A browser window that notes whatever no page of ours may do, and judges what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.chromium import wait_until_drawn

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 420, "height": 900}
LIMIT_MILLISECONDS = 60_000
# Of axe-core: what another mode can change.
CONTRAST = "color-contrast"
# Paper of the two modes, #ffffff and #15191e.
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(21, 25, 30)"

_AXE = Axe()
_SERIOUS = ("serious", "critical")


class Visitor:
    """One window with cookies, storage and history of its own.

    Attributes:
        offences: errors, warnings, and requests for anything but the pages' own origin, so far.

    Args:
        browser: that opens it.
        origin: of the pages, `http://127.0.0.1:PORT` or the URI of a file.
        options: of `Browser.new_context`, e.g. `color_scheme`.
    """

    def __init__(self, browser: Browser, origin: str, **options: Any) -> None:
        self.origin = origin
        self.offences: list[str] = []
        self.context: BrowserContext = browser.new_context(**({"viewport": WIDE} | options))
        self.context.set_default_timeout(LIMIT_MILLISECONDS)
        self.context.on("request", lambda request: self._see(request.url))
        self.context.on("console", lambda message: self._hear(message.type, message.text))
        self.context.on("weberror", lambda error: self.offences.append(f"exception: {error.error}"))
        self.context.on("dialog", self._refuse)
        self.page: Page = self.context.new_page()
        self.page.on("websocket", lambda socket: self._see(socket.url))

    def _see(self, url: str) -> None:
        if url != self.origin and not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.offences.append(f"request: {url}")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.offences.append(f"{kind}: {text}")

    def _refuse(self, dialog: Any) -> None:
        self.offences.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def visit(self, path: str) -> Page:
        """Load a page of the dashboard and wait until it is whole."""
        self.page.goto(self.origin + path)
        wait_until_drawn(self.page)
        return self.page

    def turn_to(self, title: str) -> Page:
        """Go to a page of the experiment by its link in the navigation."""
        self.page.click(f"#nav a:text-is('{title}')")
        self.page.wait_for_function("title => document.title.startsWith(title + ' ·')", arg=title)
        wait_until_drawn(self.page)
        return self.page

    def follow(self, link: str, heading: str) -> Page:
        """Click on a link, as a selector finds it, and wait for the page with that heading."""
        self.page.click(link)
        self.page.locator("#page h1", has_text=re.compile(f"^{re.escape(heading)}$")).wait_for()
        wait_until_drawn(self.page)
        return self.page

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def hindrances(page: Page, *rules: str) -> list[str]:
    """What keeps people from using a page, as axe-core finds: serious and critical, `rule: element`.

    Args:
        page: that is judged, with the folds that are open.
        rules: of axe-core; none means all of them.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = _AXE.run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node['any'][0]['message'] if node['any'] else ''}"
        for rule in found
        if rule["impact"] in _SERIOUS
        for node in rule["nodes"]
    ]


def overflow_pixels(page: Page) -> int:
    """By how much a page is wider than its window; figures and tables scroll by themselves."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def background(page: Page) -> str:
    """Colour of the page's paper as CSS has it, e.g. `rgb(255, 255, 255)`."""
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def wait_for_background(page: Page, color: str) -> None:
    """Wait for the page to have a mode, which `color` tells."""
    page.wait_for_function("color => getComputedStyle(document.body).backgroundColor === color", arg=color)


def table_texts(page: Page, selector: str) -> list[list[str]]:
    """The texts of a table's body, row by row."""
    found: list[list[str]] = page.eval_on_selector_all(
        f"{selector} tr", "rows => rows.map(row => Array.from(row.cells, cell => cell.textContent.trim()))"
    )
    return found


def download(page: Page, selector: str, folder: Path) -> Path:
    """Click on what gives a file, and keep the file under its own name."""
    with page.expect_download() as waiting:
        page.click(selector)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path
