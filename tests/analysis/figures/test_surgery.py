from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.figures.surgery import SurgeryCell, caption, get_surgery_info, plot_surgery, pruned_parents
from analysis.layers import Layer
from analysis.results import HISTORY_DTYPES, load, load_history, rows_to_frame
from rc_core.cells import Grid

ONE = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
HALF, MOST = "prune-p1.00-s42-dns-S0.500", "prune-p1.00-s42-dns-S0.900"
LAYERS = {MOST: (Layer("stem.weight", 72, 9), Layer("blocks.0.conv1.weight", 576, 72))}


def history_of(cell_id: str, **columns: list[Any]) -> pd.DataFrame:
    num_rows = len(columns["step"])
    filled = {name: columns.get(name, [None] * num_rows) for name in HISTORY_DTYPES} | {
        "cell_id": [cell_id] * num_rows
    }
    return pd.DataFrame(
        {name: pd.Series(filled[name], dtype=dtype) for name, dtype in HISTORY_DTYPES.items()}
    )


def test_counts_become_rates_between_logged_steps(make_sweep: Any) -> None:
    frame = load(make_sweep(grid=ONE))
    history = history_of(
        MOST,
        step=[10, 30, 70],
        sparsity_target=[0.2, 0.5, 0.9],
        sparsity=[0.1, 0.4, 0.8],
        update_probability=[1.0, 0.5, 0.25],
        num_pruned=[50, 250, 290],
        num_spliced=[0, 10, 30],
    )
    info = get_surgery_info(frame, history, LAYERS, "train-p1.00-s42")
    assert (info.parent_id, info.randomization, info.num_cells_asked) == ("train-p1.00-s42", 1.0, 2)
    assert info.cells == (
        SurgeryCell(
            cell_id=MOST,
            sparsity=0.9,
            seed=42,
            steps=(10, 30, 70),
            target_sparsity=(0.2, 0.5, 0.9),
            actual_sparsity=(0.1, 0.4, 0.8),
            pruned_per_step=(5.0, 10.0, 1.0),  # 50 / 10, 200 / 20, 40 / 40
            spliced_per_step=(0.0, 0.5, 0.5),
            update_probability=(1.0, 0.5, 0.25),
            layers=LAYERS[MOST],
        ),
    )
    assert "1 of 2 prunings are finished" in caption(info)


def test_cells_of_one_parent_by_sparsity(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE)
    info = get_surgery_info(load(folder), load_history(folder), LAYERS, "train-p1.00-s42")
    assert [cell.cell_id for cell in info.cells] == [HALF, MOST]
    assert info.cells[0].layers == ()
    alone = get_surgery_info(load(folder), load_history(folder), LAYERS, "train-p1.00-s42", [HALF])
    assert [cell.cell_id for cell in alone.cells] == [HALF]
    assert alone.num_cells_asked == 1


def test_the_parents_stand_by_place_and_not_by_result(make_sweep: Any) -> None:
    assert pruned_parents(load(make_sweep(grid=ONE))) == [
        "train-p1.00-s42",
        "train-p1.00-s43",
        "train-p0.00-s42",
        "train-p0.00-s43",
    ]
    partial = load(make_sweep("partial", ONE, failures={"train-p1.00-s42": "boom"}))
    assert pruned_parents(partial)[0] == "train-p1.00-s43"
    dense = load(make_sweep("dense", Grid(randomizations=(0.0,), sparsities=(), seeds=(42,))))
    assert pruned_parents(dense) == pruned_parents(rows_to_frame([])) == []


def test_every_cell_has_its_own_panels_on_common_scales(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE)
    figure = plot_surgery(load(folder), load_history(folder), LAYERS)
    pruned = [trace for trace in figure.data if trace.name.startswith("pruned a step")]
    spliced = [trace for trace in figure.data if trace.name.startswith("spliced a step")]
    assert [trace.y[0] for trace in pruned] == [1.0, 1.0]  # 100 in the first 100 steps
    assert [trace.y[0] for trace in spliced] == [0.07, 0.07]
    places = [trace.yaxis for trace in (*pruned, *spliced)]
    assert len(set(places)) == 4
    ranges = [figure.layout[place.replace("y", "yaxis")].range for place in places]
    assert [high for _, high in ranges] == pytest.approx([1.08, 1.08, 0.0756, 0.0756])
    heatmap = next(trace for trace in figure.data if trace.type == "heatmap")
    assert list(map(list, heatmap.z)) == [[None, 0.125], [None, 0.125]]
    assert "0.conv1" in figure.layout[heatmap.yaxis.replace("y", "yaxis")].ticktext


def test_partial_and_failed_sweep(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE, failures={HALF: "boom"}, missing=["train-p1.00-s43"])
    info = get_surgery_info(load(folder), load_history(folder), {})
    assert [cell.cell_id for cell in info.cells] == [MOST]
    assert info.num_cells_asked == 2
    assert not any(trace.type == "heatmap" for trace in plot_surgery(info).data)


def test_nothing_to_show(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE, missing=[cell.cell_id for cell in ONE.cells()])
    history = load_history(folder)
    for info in (
        get_surgery_info(rows_to_frame([]), history, {}),
        get_surgery_info(load(folder), history, {}),
        get_surgery_info(load(folder), history, {}, "train-p1.00-s42"),
    ):
        assert info.cells == ()
        assert caption(info) == "No finished pruning has curves yet."
        assert len(plot_surgery(info).data) == 0


def test_errors_name_what_to_do(make_sweep: Any) -> None:
    folder = make_sweep(grid=ONE)
    with pytest.raises(ValueError, match=r"parent_id = 'train-p0\.70-s42': no pruning starts from it"):
        get_surgery_info(load(folder), load_history(folder), {}, "train-p0.70-s42")
    with pytest.raises(ValueError, match="history = None"):
        plot_surgery(load(folder))
