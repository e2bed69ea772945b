from __future__ import annotations

from typing import Any

from analysis.grid import summarize
from analysis.results import load, rows_to_frame
from analysis.tables import format_summary
from rc_core.cells import Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def test_table_for_the_terminal(make_sweep: Any) -> None:
    text = format_summary(load(make_sweep()))
    assert max(map(len, text.splitlines())) < 100
    lines = text.splitlines()
    assert lines[2].split() == ["p", "dense", "S=0.5", "S=0.7", "S=0.8", "S=0.9", "S=0.95"]
    assert lines[7].split() == ["1", "1.000", "0.932", "0.618", "0.345", "0.148", "0.133"]
    assert lines[8].split()[-2:] == ["±0.050", "n3"]
    assert lines[-1] == "n = 3 seeds a point; 54 of 54 cells finished."


def test_table_marks_what_is_unfinished(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=SMALL,
            failures={"prune-p1.00-s42-dns-S0.900": "RuntimeError: boom\n  at line 3"},
            missing=["prune-p0.00-s42-dns-S0.900"],
        )
    )
    lines = format_summary(frame).splitlines()
    assert lines[3].split() == ["0", "1.000", "1.000", "1", "missing"]
    assert lines[5].split() == ["1", "1.000", "0.961", "1", "failed"]
    assert lines[-1] == "failed: prune-p1.00-s42-dns-S0.900: RuntimeError: boom"
    assert format_summary(rows_to_frame([])) == "The sweep has no cell yet."


def test_table_of_many_sparsities_is_broken_into_blocks(make_sweep: Any) -> None:
    sparsities = tuple(round(0.05 * index, 2) for index in range(1, 20))
    grid = Grid(randomizations=(0.0,), sparsities=sparsities, seeds=(1,))
    frame = load(make_sweep(grid=grid, accuracy=lambda cell: 0.5))
    text = format_summary(frame)
    assert max(map(len, text.splitlines())) < 100
    assert sum(line.lstrip().startswith("p ") for line in text.splitlines()) == 3
    assert len(summarize(frame).sparsities) == 20
