from __future__ import annotations

from typing import Any

import pytest

from analysis.figures.gap import caption, get_gap_info, plot_gap
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

ONE = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def means(info: Any) -> dict[tuple[float, float | None], float | None]:
    return {(cell.randomization, cell.sparsity): cell.interval.mean for cell in info.gap.summary.cells}


def test_gap_of_one_seed(make_sweep: Any) -> None:
    info = get_gap_info(load(make_sweep(grid=ONE)))
    assert means(info) == {
        (0.0, None): pytest.approx(0.05),  # test error .05, training error 0
        (0.0, 0.5): pytest.approx(0.145),  # 1 - .95 * .9
        (0.0, 0.9): pytest.approx(1 - 0.95 * 0.82 - 0.008),
        (1.0, None): pytest.approx(0.9),
        (1.0, 0.5): pytest.approx(0.861),  # .9 - .039
        (1.0, 0.9): pytest.approx(0.018),  # .9 - .882
    }
    assert (info.test_labels, info.num_classes) == ("true", None)
    assert info.left_out == "n = 1 seed a point; 6 of 6 cells finished."


def test_noisy_test_labels(make_sweep: Any) -> None:
    grid = Grid(randomizations=(0.5,), sparsities=(), seeds=(42,))
    info = get_gap_info(load(make_sweep(grid=grid)), "noisy")
    # test accuracy .525: .5 * .475 + .5 * .9 = .6875, training error 0
    assert means(info) == {(0.5, None): pytest.approx(0.6875)}
    assert "K = 10" in caption(info)
    unknown = get_gap_info(load(make_sweep(grid=grid)).assign(dataset="mine"), "noisy")
    assert means(unknown) == {(0.5, None): None}
    assert "give num_classes" in caption(unknown)


def test_full_sweep_draws_both_panels(make_sweep: Any) -> None:
    info = get_gap_info(load(make_sweep()))
    figure = plot_gap(info)
    assert len([trace for trace in figure.data if trace.fill == "toself"]) == 3
    dense = [trace for trace in figure.data if trace.xaxis == "x2"]
    assert dense[0].x == (0.0, 0.5, 1.0)
    assert dense[0].y == pytest.approx([0.05, 0.475, 0.9])
    assert [len(trace.x) for trace in dense[1:]] == [3, 3, 3]
    assert figure.layout.xaxis2.title.text == "randomization p"


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    frame = load(
        make_sweep(grid=ONE, failures={"train-p1.00-s42": "boom"}, missing=["prune-p0.00-s42-dns-S0.900"])
    )
    info = get_gap_info(frame)
    assert [cell.unfinished for cell in info.gap.summary.cells] == ["", "", "1 missing"] + ["1 failed"] * 3
    assert "2 of 6 cells finished (3 failed, 1 missing" in caption(info)
    dense = [trace for trace in plot_gap(info).data if trace.xaxis == "x2"]
    assert (
        dense[0].text[1] == "p = 1, S = 0<br>test error − training error: mean none<br>n = 0 of 1 (1 failed)"
    )


def test_nothing_to_show(make_sweep: Any) -> None:
    unstarted = load(make_sweep(grid=ONE, missing=[cell.cell_id for cell in ONE.cells()]))
    for frame in (rows_to_frame([]), unstarted):
        figure = plot_gap(frame)
        assert len(figure.data) == 0
        assert "No finished cell" in figure.layout.annotations[0].text


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="test_labels = 'clean': must be true or noisy"):
        get_gap_info(rows_to_frame([]), "clean")  # type: ignore[arg-type]
