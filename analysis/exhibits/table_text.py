"""A table's values as text: rounded for people, exact as CSV."""

from __future__ import annotations

import csv
import io

from analysis.exhibits.exhibit import Table


def value_text(value: object) -> str:
    """A value as a page shows it: `0.8312`, `1200`, `12,345.7`; nothing for None and not a number."""
    if value is None or value != value:
        return ""
    if not isinstance(value, float):
        return str(value)
    digits = 4 if abs(value) < 10 else 2 if abs(value) < 1000 else 1
    return f"{value:,.{digits}f}"


def row_texts(row: tuple[object, ...], num_label_columns: int) -> list[str]:
    """A row as a page shows it; levels that label it keep as few digits as they have."""
    return [
        f"{value:g}" if index < num_label_columns and isinstance(value, float) else value_text(value)
        for index, value in enumerate(row)
    ]


def to_csv(table: Table) -> str:
    """The whole table as comma-separated values with a header (RFC 4180).

    Floats stand in full; None and not a number are empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table.header)
    writer.writerows([None if value != value else value for value in row] for row in table.rows)
    return out.getvalue()
