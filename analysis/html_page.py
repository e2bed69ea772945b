"""One self-contained HTML page: style, plotly.js once, tables. No address off the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from plotly.offline import get_plotlyjs

from analysis.figures.theme import SHADES
from analysis.page_script import SCRIPT

# What the browser enforces: nothing is fetched from anywhere, whatever the page holds.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def _variables(colors: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors)


def _label_columns(most: int) -> str:
    """Selector of the leading columns of tables with the class `labels-N`, for N up to `most`."""
    return ", ".join(f".labels-{num} :is(th, td):nth-child(-n+{num})" for num in range(1, most + 1))


# Paper is light whatever the screen shows.
_COLORS = f"""
:root {{ {_variables((name, shade.light) for name, shade in SHADES.items())} }}
@media screen {{
  :root.dark {{ color-scheme: dark; {_variables((name, shade.dark) for name, shade in SHADES.items())} }}
}}"""

_STYLE = (
    _COLORS
    + """
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 40px 0 10px; padding-top: 12px; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p { margin: 8px 0; max-width: 80ch; }
.meta, .note, figcaption { color: var(--muted); }
.note, figcaption { font-size: .9rem; }
.headline { font-size: 1.2rem; line-height: 1.45; margin: 22px 0 8px; max-width: 70ch; }
.warnings { border-left: 4px solid var(--warn); background: var(--warn-soft); padding: 10px 16px;
  margin: 22px 0; }
.warnings h2 { border: 0; padding: 0; margin: 0 0 4px; font-size: 1rem; color: var(--warn); }
.warnings ul { margin: 0; padding-left: 20px; }
.warnings li { margin: 4px 0; overflow-wrap: anywhere; }
figure { margin: 14px 0 26px; break-inside: avoid; }
figcaption { max-width: 90ch; margin-top: 4px; }
.plot, .scroll { overflow-x: auto; }
.drawing { min-width: var(--min-width, 340px); }
.js-plotly-plot .plotly .modebar:focus-within { opacity: 1; }
.js-plotly-plot .plotly .modebar .modebar-btn:focus-visible { outline: 3px solid var(--warn);
  outline-offset: -3px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 18px 0 0; font-size: .9rem; }
nav a { color: var(--ink); text-underline-offset: 3px; }
.numbers .csv { margin: 6px 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; margin: 8px 0; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top;
  white-space: nowrap; }
th { background: var(--soft); font-weight: 600; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88rem; }
pre { background: var(--soft); padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
LABEL_COLUMNS { text-align: left; }
td.any { overflow-wrap: anywhere; white-space: normal; min-width: 14ch; }
details { margin: 6px 0; }
button, select { font: inherit; font-size: .85rem; color: var(--ink); background: var(--soft);
  border: 1px solid var(--rule); border-radius: 4px; padding: 2px 8px; max-width: 100%; }
.mode { float: right; margin: 0 0 8px 16px; }
.switches label { max-width: 100%; }
.switches { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--muted); font-size: .85rem; }
summary { cursor: pointer; color: var(--muted); font-size: .9rem; }
.paper main { width: 920px; padding: 0; }
.paper .drawing { min-width: 0; }
@page { margin: 12mm 14mm; }
@media print {
  main { max-width: none; padding: 0; zoom: .74; }
  body { font-size: 13.5pt; }
  details:not([open]), .modebar, button, nav, .switches { display: none; }
  h2, h3, h2 + p { break-after: avoid; }
  h2 { margin-top: 20px; }
  .headline { font-size: 1.1rem; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  table { font-size: 10pt; }
  th, td { padding: 2px 5px; }
  .drawing { min-width: 0; }
  .plot, .scroll { overflow: visible; }
}
"""
).replace("LABEL_COLUMNS", _label_columns(10))

# Characters above which a table cell may be broken anywhere, e.g. inside a hash.
_LONG_TEXT = 30


class Html(str):
    """Text that is markup already; every other string is escaped where it enters a page."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as escaped text, unless it is markup."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    num_label_columns: int = 1,
    label: str = "",
) -> Html:
    """A table; columns after the first `num_label_columns` are numbers and stand right."""

    # HTML lets the end tags of rows and cells be left out; in long tables they would be a third of the page.
    def cells(tag: str, values: Sequence[object]) -> str:
        tags = (f'<{tag} class="any">' if len(str(value)) > _LONG_TEXT else f"<{tag}>" for value in values)
        return "".join(f"{begun}{text(value)}" for begun, value in zip(tags, values, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}" for row in rows)
    return Html(
        # A wide table scrolls, with the keyboard, too.
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="labels-{num_label_columns}" aria-label="{escape(label)}">'
        f"<thead><tr>{cells('th', header)}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def details(summary: str, content: Html, *, is_open: bool = False) -> Html:
    """Content behind a fold."""
    return Html(
        f"<details{' open' if is_open else ''}><summary>{escape(summary)}</summary>{content}</details>"
    )


def page(title: str, body: Html) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"<script>{offline_plotlyjs()}</script>\n<script>{SCRIPT}</script>\n</head>\n"
        f'<body>\n<main>\n<button type="button" class="mode">☾ Dark</button>\n{body}\n'
        "</main>\n</body>\n</html>\n"
    )


def offline_plotlyjs() -> str:
    """plotly.js without the addresses of its map tiles, cloud editor and web site; none of them is used here.

    Only string literals are changed: the authors' links in the licence comments stay.
    """
    return re.sub(r"""(["'`])https?://(?!www\.w3\.org/)""", r"\1about:invalid#", get_plotlyjs())
