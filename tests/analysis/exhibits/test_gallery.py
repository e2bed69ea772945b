"""What holds of every exhibit; their numbers are in test_exhibit_tables.py."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from analysis.exhibits.exhibit import ExhibitKind
from analysis.exhibits.gallery import EXHIBITS
from analysis.experiment_data import ExperimentData
from analysis.figures import FIGURE_NAMES
from rc_core.cells import Grid

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43))
# A trace that only this figure has.
MARKS = {
    "tradeoff": "dense parents, p = 1",
    "heatmap": None,
    "threshold": "median, p = 1",
    "memorization": "mean, p = 1",
    "forgetting": "mean, p = 1",
    "gap": "mean, dense",
    "published": "reference",
    "curves": "p = 1, S = 0.9, n = 2",
    "surgery": "spliced a step, S = 0.9",
    "cost": "device time in all: 30.0 s",
}
ALL = [pytest.param(kind, id=name) for name, kind in EXHIBITS.items()]


def variants(kind: ExhibitKind, data: ExperimentData) -> list[dict[str, str]]:
    controls = kind.controls(data)
    names = [control.name for control in controls]
    combinations = itertools.product(*(control.values for control in controls))
    return [dict(zip(names, values, strict=True)) for values in combinations]


def test_the_names_are_frozen() -> None:
    """Scripts rest on the names of `rcsweep figure`."""
    names = "tradeoff heatmap curves slots threshold surgery gap memorization forgetting cost published"
    assert tuple(names.split()) == FIGURE_NAMES
    assert list(EXHIBITS) == [kind.name for kind in EXHIBITS.values()]
    assert set(EXHIBITS) == set(FIGURE_NAMES)


def test_every_exhibit_is_drawn_from_a_folder(make_sweep: Any) -> None:
    data = ExperimentData.load(make_sweep(grid=SMALL))
    for name, mark in MARKS.items():
        drawn = EXHIBITS[name].exhibit(data)
        assert mark in [trace.name for trace in drawn.figure.data]
        assert drawn.caption
        assert drawn.table.rows


@pytest.mark.parametrize("kind", ALL)
def test_every_variant_differs_and_every_row_has_all_columns(kind: ExhibitKind, make_sweep: Any) -> None:
    data = ExperimentData.load(make_sweep(grid=SMALL))
    drawn = [kind.exhibit(data, choices) for choices in variants(kind, data)]
    figures = {exhibit.figure.to_json() for exhibit in drawn}
    assert len(figures) == len(drawn)
    assert kind.exhibit(data).figure.to_json() == drawn[0].figure.to_json()
    for exhibit in drawn:
        header, rows = exhibit.table.header, exhibit.table.rows
        assert {len(row) for row in rows} <= {len(header)}
        assert 0 < exhibit.table.num_label_columns < len(header)
        assert len(set(header)) == len(header)


@pytest.mark.parametrize("kind", ALL)
def test_wrong_choices_are_refused(kind: ExhibitKind, make_sweep: Any) -> None:
    data = ExperimentData.load(make_sweep(grid=SMALL))
    with pytest.raises(ValueError, match=f"flavour=sweet: {kind.name} has no control"):
        kind.exhibit(data, {"flavour": "sweet"})
    for control in kind.controls(data):
        with pytest.raises(ValueError, match=rf"{control.name}=sour: .* must be one of {control.values[0]}"):
            kind.exhibit(data, {control.name: "sour"})


@pytest.mark.parametrize("kind", ALL)
def test_control_values_may_stand_in_an_address(kind: ExhibitKind, make_sweep: Any) -> None:
    for control in kind.controls(ExperimentData.load(make_sweep(grid=SMALL))):
        for text in (control.name, *control.values):
            assert re.fullmatch(r"[A-Za-z0-9._-]+", text)
        assert len(set(control.values)) == len(control.values)


@pytest.mark.parametrize("state", ["unstarted", "failed", "no cells"])
@pytest.mark.parametrize("kind", ALL)
def test_an_experiment_without_results_gets_a_sentence(
    kind: ExhibitKind, state: str, make_sweep: Any
) -> None:
    cell_ids = [cell.cell_id for cell in SMALL.cells()]
    failures = dict.fromkeys(cell_ids, "RuntimeError: boom") if state == "failed" else {}
    data = ExperimentData.load(make_sweep(grid=SMALL, missing=cell_ids, failures=failures))
    if state == "no cells":
        data = data.restricted(data.frame.iloc[:0])
    for choices in variants(kind, data):
        drawn = kind.exhibit(data, choices)
        assert drawn.figure.layout.annotations
        assert all(len(row) == len(drawn.table.header) for row in drawn.table.rows)
        lines = [trace for trace in drawn.figure.data if trace.type == "scatter" and trace.mode == "lines"]
        assert all(trace.fillpattern.shape for trace in lines)  # nothing but the marks of unfinished squares
