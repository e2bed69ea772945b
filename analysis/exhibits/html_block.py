"""Exhibits and tables as parts of a page: figure, controls, caption, numbers, and their CSV to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.io as pio

from analysis.excerpts import MAX_ROWS, every_nth
from analysis.exhibits.exhibit import Control, Exhibit, Table
from analysis.exhibits.table_text import row_texts, to_csv
from analysis.html_page import Html, details, table, text


class Variant(NamedTuple):
    """An exhibit under other settings of the controls above it.

    Attributes:
        choices: value of every control, in the order in which they stand.
        exhibit: as it is then.
    """

    choices: tuple[str, ...]
    exhibit: Exhibit


def exhibit_block(
    name: str, controls: Sequence[Control], variants: Sequence[Variant], file_stem: str
) -> Html:
    """A figure with its controls above, its caption under it and, behind a fold, its numbers.

    Args:
        name: of the block, unique on the page.
        controls: of the variants.
        variants: for every combination of the controls' options; the first is shown first.
        file_stem: of the names under which tables are kept.
    """
    first = variants[0].exhibit
    drawn = first.figure.to_dict()
    tables = _distinct_tables(variants)
    switches, changes = Html(""), Html("")
    if len(variants) > 1:
        switches = _switches(controls)
        changes = data_script(
            f"variants-{name}",
            {
                "|".join(variant.choices): _changes(drawn, variant.exhibit)
                | ({"table": tables.index(variant.exhibit.table)} if len(tables) > 1 else {})
                for variant in variants
            },
        )
    numbers = "".join(
        table_block(each, f"{name}-{index}", f"{file_stem}-{name}{f'-{index + 1}' * (index > 0)}", index > 0)
        for index, each in enumerate(tables)
    )
    if len(tables) == 1 < len(variants):
        numbers = f"<p>{text('Of the figure as it is shown first.')}</p>{numbers}"
    return Html(
        f'<figure id="figure-{escape(name)}">\n{switches}'
        f'<div class="plot" role="group" aria-label="{escape(first.caption)}" '
        f'style="--min-width: {first.min_width_px}px">'
        f'<div class="drawing" data-figure="data-{escape(name)}" data-variants="variants-{escape(name)}">'
        f"</div></div>\n{data_script(f'data-{name}', drawn)}\n{changes}"
        f"<figcaption>{escape(first.caption)}</figcaption>\n"
        f"{details('Numbers behind this figure', Html(numbers))}\n</figure>"
    )


def _distinct_tables(variants: Sequence[Variant]) -> list[Table]:
    """The tables that the page holds; of long ones that of the first variant, for they make up most of it."""
    first = variants[0].exhibit.table
    if len(first.rows) > MAX_ROWS:
        return [first]
    tables: list[Table] = []
    for variant in variants:
        if variant.exhibit.table not in tables:
            tables.append(variant.exhibit.table)
    return tables


def table_block(content: Table, name: str, file_stem: str, is_hidden: bool = False) -> Html:
    """A table, rounded and with some hundred rows at most, and a button that gives all of it as CSV.

    Args:
        content: of the table.
        name: of the block, unique on the page.
        file_stem: name of the CSV file without suffix.
        is_hidden: whether another table stands in its place first.
    """
    shown, note = every_nth(content.rows, "the CSV file")
    rows = [row_texts(row, content.num_label_columns) for row in shown]
    return Html(
        f'<div class="numbers"{" hidden" * is_hidden}>'
        f'<button type="button" class="csv" data-csv="csv-{escape(name)}" '
        f'data-file="{escape(file_stem)}.csv">Download CSV</button>'
        + (f"<p>{text(note)}</p>" if note else "")
        + table(content.header, rows, num_label_columns=content.num_label_columns, label=content.label)
        + data_script(f"csv-{name}", to_csv(content))
        + "</div>"
    )


def data_script(name: str, content: object) -> Html:
    """Data for the page's script, as JSON."""
    # "<" would end the script element where a text holds "</script>".
    data = pio.json.to_json_plotly(content).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(name)}">{data}</script>')


def _switches(controls: Sequence[Control]) -> Html:
    """One drop-down a control that leaves a choice."""
    labels = []
    for control in controls:
        items = "".join(
            f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in control.options
        )
        # Browsers remember choices over a reload, the figure starts with the first.
        labels.append(f'<label>{escape(control.label)} <select autocomplete="off">{items}</select></label>')
    return Html(f'<div class="switches">{"".join(labels)}</div>\n')


def _changes(first: Mapping[str, Any], other: Exhibit) -> dict[str, Any]:
    """What a variant has in the place of the figure drawn first: whole attributes of traces and layout."""

    def is_same(old: Any, new: Any) -> bool:
        try:
            return bool(old == new)
        except ValueError:  # arrays that plotly does not encode, of texts for example
            return bool(pio.json.to_json_plotly(old) == pio.json.to_json_plotly(new))

    def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        return {key: new.get(key) for key in {**old, **new} if not is_same(old.get(key), new.get(key))}

    figure = other.figure.to_dict()
    changes = {"caption": other.caption, "layout": differing(first["layout"], figure["layout"])}
    if len(first["data"]) != len(figure["data"]):
        return changes | {"data": figure["data"]}
    return changes | {"traces": list(map(differing, first["data"], figure["data"]))}
