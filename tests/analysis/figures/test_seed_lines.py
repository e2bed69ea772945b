from __future__ import annotations

from analysis.figures.seed_lines import LinePoint, closed_bands, line_traces, mean_hover
from analysis.figures.theme import level_styles
from analysis.grid import SeedValue
from analysis.statistics import Interval

POINTS = (
    LinePoint(None, 0.0, (SeedValue(1, 1.0, 0.0), SeedValue(2, 0.8, 0.0)), Interval(0.9, 0.7, 1.1, 2), 2, ""),
    LinePoint(0.5, 1.0, (SeedValue(2, 0.25, None),), Interval(0.25, None, None, 1), 2, "1 failed"),
)


def test_bands_are_closed_split_at_gaps_and_cut() -> None:
    xs, ys = closed_bands(
        [(0.0, 0.8, 1.2), (0.5, 0.4, 0.6), (0.7, None, None), (0.9, -0.5, 0.1)], value_range=(0.0, 1.0)
    )
    assert xs == [0.0, 0.5, 0.5, 0.0, 0.0, None, 0.9, 0.9, 0.9]
    assert ys == [1.0, 0.6, 0.4, 0.8, 1.0, None, 0.1, 0.0, 0.1]
    assert closed_bands([(0.5, None, None)]) == ([], [])
    assert closed_bands([(0.5, -3.0, 4.0)])[1] == [4.0, -3.0, 4.0]
    assert closed_bands([(0.5, -3.0, 4.0)], (-1.0, 1.0))[1] == [1.0, -1.0, 1.0]


def test_a_line_is_a_band_a_mean_and_every_seed() -> None:
    style = level_styles(2)[1]
    band, mean, seeds = line_traces(
        0.5, POINTS, style, quantity="accuracy", confidence=0.9, value_range=(0.0, 1.0), axes={"xaxis": "x2"}
    )
    assert (list(band.x), list(band.y)) == ([0.0, 0.0, 0.0], [1.0, 0.7, 1.0])
    assert (list(mean.x), list(mean.y)) == ([0.0, 1.0], [0.9, 0.25])
    assert (list(seeds.x), list(seeds.y)) == ([0.0, 0.0, 1.0], [1.0, 0.8, 0.25])
    assert list(seeds.text) == [
        "S = 0, seed 1, achieved 0.000",
        "S = 0, seed 2, achieved 0.000",
        "S = 0.5, seed 2",
    ]
    assert (seeds.marker.color, seeds.marker.symbol, mean.line.color) == (
        style.color,
        style.symbol,
        style.color,
    )
    assert {trace.xaxis for trace in (band, mean, seeds)} == {"x2"}
    assert mean.text[0] == (
        "p = 0.5, S = 0<br>accuracy: mean 0.9000<br>90% interval 0.7000 to 1.1000<br>n = 2 of 2"
    )


def test_one_seed_has_no_band() -> None:
    traces = line_traces(0.0, POINTS[1:], level_styles(1)[0], quantity="q", confidence=0.95, value_range=None)
    assert [trace.name for trace in traces] == ["mean, p = 0", "seeds, p = 0"]
    assert (
        mean_hover(0.0, POINTS[1], "q", 0.95) == "p = 0, S = 0.5<br>q: mean 0.2500<br>n = 1 of 2 (1 failed)"
    )
