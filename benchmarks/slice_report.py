"""What a slice leaves for people: the rows of the finished cells, and the same beside the published table.

Plain text and csv: the GPU machine may have no pandas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.published import RECIPE, TRAIN_ACCURACY
from rc_core.experiment import COLUMNS, RECORD_FILE, read_record
from rc_core.recipes import Preset
from rc_core.storage import Storage

TABLE_FILE = "table.csv"
COMPARISON_FILE = "against_published.md"

Published = Mapping[float, Mapping[float, float]]


def write_reports(folder: Storage, chosen: Preset, seed: int, failures: Mapping[str, str]) -> None:
    """Write both files from the records in the folder."""
    records = [read_record(folder.folder(name)) for name in folder.names() if is_cell(folder, name)]
    rows = [record["row"] for record in records if record is not None]
    folder.write(TABLE_FILE, table_csv(rows).encode())
    published = TRAIN_ACCURACY if chosen.recipe.name == RECIPE else None
    folder.write(COMPARISON_FILE, comparison(rows, chosen, seed, published, failures).encode())


def is_cell(folder: Storage, name: str) -> bool:
    """Whether that name in the folder is a finished cell's."""
    return RECORD_FILE in folder.folder(name).names()


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Result rows as `rcsweep export` writes them, but of finished cells only; empty = None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def comparison(
    rows: Sequence[Mapping[str, Any]],
    chosen: Preset,
    seed: int,
    published: Published | None,
    failures: Mapping[str, str],
) -> str:
    """A Markdown table of training accuracies, ours and the published ones; cells without a row are named.

    Args:
        rows: of finished cells.
        chosen: the grid, and the recipe's name.
        seed: ours.
        published: None where there is nothing to compare with.
        failures: why cells failed for good, by id.
    """
    grid = chosen.grid
    by_place = {(row["randomization"], row["sparsity_target"]): row for row in rows}
    lines = [
        f"# Training accuracy, recipe `{chosen.recipe.name}`, seed {seed} (n = 1)",
        "",
        f"{len(rows)} of {len(grid.randomizations) * (1 + len(grid.sparsities))} cells are finished.",
        "",
    ]
    if published is None:
        lines += [f"The published table is of the recipe `{RECIPE}`; there is nothing to compare with.", ""]
    else:
        lines += ["Each entry: ours, the published one (one run), the difference.", ""]
    header = ["p", "dense", *(f"S = {sparsity:g}" for sparsity in grid.sparsities)]
    lines += [_line(header), _line(["---"] * len(header))]
    for randomization in grid.randomizations:
        entries = [f"{randomization:g}", _entry(by_place.get((randomization, None)), None)]
        for sparsity in grid.sparsities:
            theirs = published[randomization][sparsity] if published else None
            entries.append(_entry(by_place.get((randomization, sparsity)), theirs))
        lines.append(_line(entries))
    lines += [""] + [f"- `{cell_id}` failed: {reason}" for cell_id, reason in sorted(failures.items())]
    return "\n".join(lines).rstrip() + "\n"


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _entry(row: Mapping[str, Any] | None, published: float | None) -> str:
    if row is None:
        return "not yet" if published is None else f"not yet, {published:.5f}"
    ours = row["train_accuracy"]
    if published is None:
        return f"{ours:.5f}"
    return f"{ours:.5f}, {published:.5f}, {ours - published:+.5f}"
