"""One self-contained HTML page: style, plotly.js once, tables, figures. No address off the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go
import plotly.io as pio
from plotly.offline import get_plotlyjs

from analysis.figures.theme import SHADES
from analysis.page_script import SCRIPT

# What the browser enforces: nothing is fetched from anywhere, whatever the page holds.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def _variables(colors: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors)


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
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 0 24px; }
.pair > * { min-width: 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; margin: 8px 0; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; white-space: nowrap; }
td small { color: var(--muted); display: block; }
.mark { color: var(--bad); font-weight: 600; white-space: normal; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88rem; }
pre { background: var(--soft); padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
td.any { overflow-wrap: anywhere; min-width: 14ch; }
td.label { white-space: nowrap; }
details { margin: 6px 0; }
button, select { font: inherit; font-size: .85rem; color: var(--ink); background: var(--soft);
  border: 1px solid var(--rule); border-radius: 4px; padding: 2px 8px; max-width: 100%; }
.mode { float: right; margin: 0 0 8px 16px; }
.switches { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--muted); font-size: .85rem; }
summary { cursor: pointer; color: var(--muted); font-size: .9rem; }
.paper main { width: 680px; padding: 0; }
.paper .pair { grid-template-columns: 1fr 1fr; }
.paper .drawing { min-width: 0; }
@media print {
  main { max-width: none; padding: 0; }
  body { font-size: 11pt; }
  details:not([open]), .modebar, .mode, .switches { display: none; }
  h2, h3, p { break-after: avoid; }
  table { font-size: 8pt; }
  th, td { padding: 2px 5px; }
  .pair { grid-template-columns: 1fr 1fr; }
  .drawing { min-width: 0; }
  .plot, .scroll { overflow: visible; }
}
"""
)

# Characters above which a table cell may be broken anywhere, e.g. inside a hash.
_LONG_TEXT = 30


class Variant(NamedTuple):
    """A figure under other settings of the controls above it.

    Attributes:
        choices: option of every control, by the control's label, in the order in which they stand.
        figure: as it is drawn then.
        caption: under it.
    """

    choices: Mapping[str, str]
    figure: go.Figure
    caption: str


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

    def tag(name: str, index: int, value: object) -> str:
        kind = "n" if index >= num_label_columns else "any" if len(str(value)) > _LONG_TEXT else "label"
        return f'<{name} class="{kind}">{text(value)}</{name}>'

    head = "".join(tag("th", index, value) for index, value in enumerate(header))
    body = "\n".join(
        "<tr>" + "".join(tag("td", index, value) for index, value in enumerate(row)) + "</tr>" for row in rows
    )
    return Html(
        f'<div class="scroll"><table aria-label="{escape(label)}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def mark(value: object) -> Html:
    """Text of a table cell that tells of something missing."""
    return Html(f'<span class="mark">{text(value)}</span>')


def details(summary: str, content: Html, *, is_open: bool = False) -> Html:
    """Content behind a fold."""
    return Html(
        f"<details{' open' if is_open else ''}><summary>{escape(summary)}</summary>{content}</details>"
    )


def figure_block(
    figure: go.Figure,
    caption: str,
    data_table: Html,
    *,
    name: str,
    min_width_px: int = 340,
    variants: Sequence[Variant] = (),
) -> Html:
    """A figure with its caption and, behind a fold, the numbers that it shows.

    Args:
        figure: shown first.
        caption: under it.
        data_table: its numbers.
        name: of the block, unique on the page.
        min_width_px: narrower pages scroll.
        variants: what the controls above the figure choose from, for every combination of their options; the
            first is `figure` itself. Fewer than two: no controls.
    """
    drawn = figure.to_dict()
    controls, changes = Html(""), Html("")
    if len(variants) > 1:
        controls = _switches(variants)
        others = {"|".join(variant.choices.values()): _changes(drawn, variant) for variant in variants}
        changes = _data_script(f"variants-{name}", others)
    return Html(
        f'<figure id="figure-{escape(name)}">\n{controls}'
        f'<div class="plot" role="img" aria-label="{escape(caption)}" style="--min-width: {min_width_px}px">'
        f'<div class="drawing" data-figure="data-{escape(name)}" data-variants="variants-{escape(name)}">'
        f"</div></div>\n{_data_script(f'data-{name}', drawn)}\n{changes}"
        f"<figcaption>{escape(caption)}</figcaption>\n"
        f"{details('Numbers behind this figure', data_table)}\n</figure>"
    )


def _data_script(name: str, content: Mapping[str, Any]) -> Html:
    # "<" would end the script element where a text holds "</script>".
    data = pio.json.to_json_plotly(content).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(name)}">{data}</script>')


def _switches(variants: Sequence[Variant]) -> Html:
    """One drop-down a control, with the options in their order of appearance."""
    controls = []
    for label in variants[0].choices:
        options = dict.fromkeys(variant.choices[label] for variant in variants)
        items = "".join(f"<option>{escape(option)}</option>" for option in options)
        # Browsers remember choices over a reload, the figure starts with the first.
        controls.append(f'<label>{escape(label)} <select autocomplete="off">{items}</select></label>')
    return Html(f'<div class="switches">{"".join(controls)}</div>\n')


def _changes(first: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """What a variant has in the place of the figure drawn first: whole attributes of traces and layout."""

    def is_same(old: Any, new: Any) -> bool:
        try:
            return bool(old == new)
        except ValueError:  # arrays that plotly does not encode, of texts for example
            return bool(pio.json.to_json_plotly(old) == pio.json.to_json_plotly(new))

    def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        return {key: new.get(key) for key in {**old, **new} if not is_same(old.get(key), new.get(key))}

    other = variant.figure.to_dict()
    changes = {"caption": variant.caption, "layout": differing(first["layout"], other["layout"])}
    if len(first["data"]) != len(other["data"]):
        return changes | {"data": other["data"]}
    return changes | {"traces": list(map(differing, first["data"], other["data"]))}


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
