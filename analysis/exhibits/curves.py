"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.curves import Scale, curve_scales
from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table
from analysis.experiment_data import ExperimentData
from analysis.figures.curves import CURVE_METRICS, CurvesInfo, caption, get_curves_info, plot_curves
from analysis.grid import sparsity_label

METRIC = Control("metric", "Metric", tuple(CURVE_METRICS.items()))
LINES = Control("lines", "Lines", (("mean", "mean over seeds"), ("seed", "one a seed")))
_AXIS_LABELS = {"step": "step", "epoch": "epoch", "wall_seconds": "wall time"}


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """What is drawn, on one of the axes that the experiment has what it takes for, and of whom."""
    scales = _scales(data)
    axis = Control("axis", "Horizontal axis", tuple((scale, _AXIS_LABELS[scale]) for scale in scales))
    return (METRIC, axis, LINES)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The curves of an experiment's finished cells."""
    frame = data.frame
    info = get_curves_info(
        frame,
        data.history(list(frame.loc[frame["status"] == "done", "cell_id"])),
        choices["metric"],
        "seed" if choices["lines"] == "seed" else "mean",
        x=next(scale for scale in _scales(data) if scale == choices["axis"]),
        recipe=None if data.spec is None else data.spec.recipe,
    )
    return Exhibit(plot_curves(info), caption(info), table(info))


def _scales(data: ExperimentData) -> tuple[Scale, ...]:
    if not (data.frame["status"] == "done").any():
        return ("step",)
    return curve_scales(data.frame, None if data.spec is None else data.spec.recipe)


def table(info: CurvesInfo) -> Table:
    """One row a point of a line."""
    has_place = info.scale != "step"
    header = ("p", "S", "seed", "n", "step", *([info.scale] if has_place else []), info.metric)
    rows: list[tuple[object, ...]] = [
        (
            panel.randomization,
            "dense" if curve.sparsity is None else sparsity_label(curve.sparsity),
            "mean" if curve.seed is None else str(curve.seed),
            curve.num_cells,
            step,
            *([place] if has_place else []),
            value,
        )
        for panel in info.panels
        for curve in panel.curves
        for step, place, value in zip(curve.steps, curve.places, curve.values, strict=True)
    ]
    return Table(CURVE_METRICS[info.metric], header, rows, num_label_columns=3)


CURVES = ExhibitKind(name="curves", title="Training curves", controls=controls, draw=draw)
