"""The result as plain text for a terminal."""

from __future__ import annotations

import pandas as pd

from analysis.grid import METRICS, GridCell, GridSummary, sparsity_label, summarize, what_is_left_out

_MAX_WIDTH = 100
_COLUMN_WIDTH = 11
_MAX_ERRORS = 10


def format_summary(frame: pd.DataFrame, metric: str = "train_accuracy") -> str:
    """The grid as text under 100 columns: rows p, columns dense and sparsities, mean, half width, n.

    Args:
        frame: as of `analysis.results.load`.
        metric: a key of `analysis.grid.METRICS`.
    """
    summary = summarize(frame, metric)
    if not summary.cells:
        return "The sweep has no cell yet."
    lines = [
        f"{METRICS[metric]}: mean, ± half width of its {summary.confidence:.0%} t-interval, n seeds",
        *_grid_lines(summary),
        what_is_left_out(summary),
        *_error_lines(frame),
    ]
    return "\n".join(line.rstrip() for line in lines)


def _grid_lines(summary: GridSummary) -> list[str]:
    per_block = (_MAX_WIDTH - 6) // _COLUMN_WIDTH
    lines: list[str] = []
    for start in range(0, len(summary.sparsities), per_block):
        columns = slice(start, start + per_block)
        labels = [
            label if label == "dense" else f"S={label}"
            for label in map(sparsity_label, summary.sparsities[columns])
        ]
        lines += ["", "p".rjust(5) + " " + "".join(label.rjust(_COLUMN_WIDTH) for label in labels)]
        for randomization, cells in summary.rows:
            texts = [_cell_lines(cell) for cell in cells[columns]]
            for index in range(max(map(len, texts))):
                head = f"{randomization:g}" if index == 0 else ""
                parts = [text[index] if index < len(text) else "" for text in texts]
                lines.append(head.rjust(5) + " " + "".join(part.rjust(_COLUMN_WIDTH) for part in parts))
    return [*lines, ""]


def _cell_lines(cell: GridCell) -> list[str]:
    if cell.num_seeds == 0:
        return ["-"]
    if cell.interval.mean is None:
        return cell.unfinished.split(", ") if cell.unfinished else ["undefined"]
    spread = "" if cell.interval.half_width is None else f"±{cell.interval.half_width:.3f} "
    lines = [f"{cell.interval.mean:.3f}", f"{spread}n{cell.interval.n}"]
    return lines + [part for part in cell.unfinished.split(", ") if part]


def _error_lines(frame: pd.DataFrame) -> list[str]:
    failed = frame.loc[frame["status"] == "failed", ["cell_id", "error"]]
    lines = [
        f"failed: {cell_id}: {_one_line(str(error))}"
        for cell_id, error in failed.head(_MAX_ERRORS).itertuples(index=False, name=None)
    ]
    if len(failed) > _MAX_ERRORS:
        lines.append(f"failed: {len(failed) - _MAX_ERRORS} more")
    return lines


def _one_line(error: str) -> str:
    first = error.strip().splitlines()[0] if error.strip() else "no message"
    return first if len(first) <= 120 else first[:119] + "…"
