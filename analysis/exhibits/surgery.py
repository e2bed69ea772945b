"""The surgery on the networks of one parent."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table
from analysis.experiment_data import ExperimentData
from analysis.figures.layer_density import short_name
from analysis.figures.surgery import (
    SurgeryInfo,
    caption,
    get_surgery_info,
    plot_surgery,
    pruned_parents,
)
from analysis.grid import sparsity_label

_NO_PARENT = "none"


def controls(data: ExperimentData) -> tuple[Control, ...]:
    """Whose prunings: of any parent with a finished one."""
    parents = pruned_parents(data.frame) or [_NO_PARENT]
    return (Control("parent", "Parent", tuple((parent, parent) for parent in parents)),)


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The surgery of one parent's prunings."""
    frame, parent = data.frame, choices["parent"]
    cell_ids = list(frame.loc[(frame["status"] == "done") & (frame["parent_id"] == parent), "cell_id"])
    info = get_surgery_info(
        frame,
        data.history(cell_ids),
        data.layers(cell_ids),
        parent_id=None if parent == _NO_PARENT else parent,
    )
    return Exhibit(plot_surgery(info), caption(info), table(info))


def table(info: SurgeryInfo) -> Table:
    """One row a network and logged step, then one a layer of each finished network."""
    steps: list[tuple[object, ...]] = [
        (sparsity_label(cell.sparsity), None, step, target, actual, pruned, spliced, probability, None, None)
        for cell in info.cells
        for step, target, actual, pruned, spliced, probability in zip(
            cell.steps,
            cell.target_sparsity,
            cell.actual_sparsity,
            cell.pruned_per_step,
            cell.spliced_per_step,
            cell.update_probability,
            strict=True,
        )
    ]
    layers: list[tuple[object, ...]] = [
        (
            sparsity_label(cell.sparsity),
            short_name(layer.name),
            *[None] * 6,
            layer.num_weights,
            layer.num_kept,
        )
        for cell in info.cells
        for layer in cell.layers
    ]
    header = (
        "S",
        "layer",
        "step",
        "target sparsity",
        "actual sparsity",
        "pruned a step",
        "spliced a step",
        "update probability",
        "weights",
        "kept weights",
    )
    return Table(
        f"surgery on {info.parent_id or 'no network'}", header, [*steps, *layers], num_label_columns=2
    )


SURGERY = ExhibitKind(name="surgery", title="Surgery on one network", controls=controls, draw=draw)
