from __future__ import annotations

from analysis.figures.interval_rows import IntervalRow, plot_rows
from analysis.statistics import Interval


def row(p: float, sparsity: float | None, values: tuple[float, ...], interval: Interval) -> IntervalRow:
    seeds = tuple(range(42, 42 + len(values)))
    return IntervalRow(p, sparsity, seeds, values, interval, 2, None, "nothing yet", f"p {p}")


ROWS = [
    row(0.0, None, (0.1, 0.3), Interval(0.2, -0.6, 1.0, 2)),
    row(0.0, 0.5, (0.4,), Interval(0.4, None, None, 1)),
    row(1.0, 0.5, (), Interval(None, None, None, 0)),
]


def test_rows_stand_under_the_heading_of_their_randomization() -> None:
    figure = plot_rows(ROWS, "difference", zero_line=True, value_range=None)
    axis = figure.layout.yaxis
    assert list(zip(axis.tickvals, axis.ticktext, strict=True)) == [
        (1, "dense"),
        (2, "S = 0.5"),
        (4, "S = 0.5"),
    ]
    headings = [(note.y, note.text) for note in figure.layout.annotations if "p = " in note.text]
    assert headings == [(0, "<b>p = 0</b>"), (3, "<b>p = 1</b>")]


def test_counts_intervals_and_empty_rows() -> None:
    figure = plot_rows(ROWS, "difference", zero_line=True, value_range=None)
    assert [note.text for note in figure.layout.annotations[2:]] == [
        "n = 2",
        "1 of 2",
        "0 of 2",
        "nothing yet",
    ]
    seeds, means, _ = figure.data
    assert (seeds.x, seeds.y) == ((0.1, 0.3, 0.4), (1, 1, 2))
    assert (means.x, means.y) == ((0.2, 0.4), (1, 2))
    assert list(means.error_x.array) == [0.8, 0.0]  # no interval of a single value


def test_axis_fits_intervals_and_zero() -> None:
    low, high = plot_rows(ROWS, "difference", zero_line=True, value_range=None).layout.xaxis.range
    assert (round(low, 9), round(high, 9)) == (-0.68, 1.08)  # -.6 to 1 with 5% of 1.6 on either side
    far = [row(0.0, 0.5, (3.0,), Interval(3.0, None, None, 1))]
    low, high = plot_rows(far, "x", zero_line=True, value_range=None).layout.xaxis.range
    assert (round(low, 9), round(high, 9)) == (-0.15, 3.15)
    assert plot_rows(far, "x", zero_line=False, value_range=(0, 1)).layout.xaxis.range == (0, 1)
