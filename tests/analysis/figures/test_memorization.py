from __future__ import annotations

from typing import Any

import pytest

from analysis.figures.memorization import caption, get_memorization_info, plot_memorization
from analysis.grid import SeedValue
from analysis.results import load, rows_to_frame
from rc_core.cells import Grid

ONE = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def values(panel: Any) -> dict[tuple[float, float | None], tuple[float, ...]]:
    return {
        (cell.randomization, cell.sparsity): tuple(value.value for value in cell.values)
        for cell in panel.summary.cells
    }


def test_scores_of_one_seed(make_sweep: Any) -> None:
    info = get_memorization_info(load(make_sweep(grid=ONE)), "scores")
    score, selectivity, denoised = info.panels
    # p = .5: redrawn .85, .789, .354 and kept 1, 1, .654 for dense, S = .5, S = .9
    assert values(score) == {
        (0.0, None): (),
        (0.0, 0.5): (),
        (0.0, 0.9): (),
        (0.5, None): (pytest.approx(0.75 / 0.9),),
        (0.5, 0.5): (pytest.approx(0.689 / 0.9),),
        (0.5, 0.9): (pytest.approx(0.254 / 0.9),),
        (1.0, None): (pytest.approx(1.0),),
        (1.0, 0.5): (pytest.approx(0.861 / 0.9),),
        (1.0, 0.9): (pytest.approx(0.018 / 0.9),),
    }
    assert values(selectivity)[0.5, 0.5] == (pytest.approx(0.061),)  # (.85 - .789) - 0
    assert values(selectivity)[0.5, 0.9] == (pytest.approx(0.15),)  # (.85 - .354) - (1 - .654)
    assert values(selectivity)[1.0, 0.9] == ()
    assert values(denoised)[0.5, 0.9] == (0.0,)
    assert [panel.undefined for panel in info.panels] == [(0.0,), (0.0, 1.0), (0.0,)]
    assert (info.kind, info.num_classes) == ("scores", 10)
    assert info.left_out == "n = 1 seed a point; 9 of 9 cells finished."
    assert caption(info).endswith(
        "Not defined: memorization score at p = 0; forgetting selectivity F(S) at p = 0, 1; denoising: "
        "gain on true labels at p = 0."
    )


def test_accuracies_of_a_full_sweep_are_the_columns(make_sweep: Any) -> None:
    info = get_memorization_info(load(make_sweep()))
    kept, redrawn, true = info.panels
    assert kept.undefined == (1.0,)
    assert redrawn.undefined == (0.0,)
    assert values(redrawn)[1.0, 0.95] == (0.11, 0.148, 0.14)
    assert values(true)[0.5, 0.95] == (0.1, 0.1, 0.1)
    assert [panel.reference for panel in info.panels] == [0.1] * 3
    assert "Dotted: chance, 1/10." in caption(info)
    figure = plot_memorization(info)
    # p = 0 and p = .5 in the first panel, p = .5 and p = 1 in the others: band, mean and seeds each
    assert len([trace for trace in figure.data if trace.fill == "toself"]) == 6
    assert len([trace for trace in figure.data if len(trace.x) and trace.mode == "markers"]) == 6


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    frame = load(
        make_sweep(
            grid=Grid(randomizations=(0.5,), sparsities=(0.5, 0.9), seeds=(42, 43)),
            failures={"train-p0.50-s43": "boom"},
            missing=["prune-p0.50-s42-dns-S0.900"],
        )
    )
    info = get_memorization_info(frame, "scores")
    dense, half, most = info.panels[1].summary.cells
    assert dense.values == (SeedValue(42, 0.0, 0.0),)
    assert (half.interval.n, half.num_failed) == (1, 1)
    assert (most.values, most.unfinished) == ((), "1 failed, 1 missing")
    assert info.left_out.startswith("n = 2 seeds a point; 2 of 6 cells finished (3 failed, 1 missing")
    hover = [text for trace in plot_memorization(info).data for text in trace.text or ()]
    assert (
        "p = 0.5, S = 0.9<br>denoising: gain on true labels: mean none<br>n = 0 of 2 (1 failed, 1 missing)"
        in hover
    )


def test_unknown_number_of_classes_is_told_and_can_be_given(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=ONE)).assign(dataset="mine")
    info = get_memorization_info(frame, "scores")
    assert info.num_classes is None
    assert info.panels[0].undefined == (0.0, 0.5, 1.0)
    assert "give num_classes" in caption(info)
    given = get_memorization_info(frame, "scores", num_classes=2)
    assert values(given.panels[0])[0.5, None] == (pytest.approx(0.7),)  # (.85 - .5) / .5
    assert get_memorization_info(frame).panels[0].reference is None


def test_nothing_to_show(make_sweep: Any) -> None:
    empty = rows_to_frame([])
    unstarted = load(make_sweep(grid=ONE, missing=[cell.cell_id for cell in ONE.cells()]))
    for frame in (empty, unstarted):
        for kind in ("accuracies", "scores"):
            figure = plot_memorization(frame, kind)
            assert len(figure.data) == 0
            assert "No finished cell" in figure.layout.annotations[0].text
    assert get_memorization_info(empty).left_out == "The sweep has no cell yet."


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind = 'both': must be accuracies or scores"):
        get_memorization_info(rows_to_frame([]), "both")  # type: ignore[arg-type]
