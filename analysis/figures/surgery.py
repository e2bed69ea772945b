"""The surgery on the networks of one parent: sparsity, pruned and spliced weights, layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from analysis.figures import panels, theme
from analysis.figures.layer_density import draw_layers, height_px
from analysis.figures.panels import Panel
from analysis.layers import Layer

_SPARSITY_PX, _RATES_PX, _PROBABILITY_PX = 190, 74, 110
# The two columns of small panels, as parts of the width.
_COLUMNS = ((0.0, 0.44), (0.56, 1.0))


class SurgeryCell(NamedTuple):
    """One pruning. All but the first three and `layers` have an entry a logged step.

    Attributes:
        cell_id: of the cell.
        sparsity: target S.
        seed: of the cell.
        steps: completed steps, ascending.
        target_sparsity: of the ramp at the step.
        actual_sparsity: masked / prunable weights.
        pruned_per_step: weights masked since the previous logged step, a step.
        spliced_per_step: weights spliced back, the same.
        update_probability: that a kernel's mask is updated after a step.
        layers: of the finished network.
    """

    cell_id: str
    sparsity: float
    seed: int
    steps: tuple[int, ...]
    target_sparsity: tuple[float, ...]
    actual_sparsity: tuple[float, ...]
    pruned_per_step: tuple[float, ...]
    spliced_per_step: tuple[float, ...]
    update_probability: tuple[float, ...]
    layers: tuple[Layer, ...]


class SurgeryInfo(NamedTuple):
    """What the surgery figure shows.

    Attributes:
        parent_id: from which all the cells start; empty where there is none.
        randomization: of the parent; NaN where there is none.
        cells: by sparsity.
        num_cells_asked: prunings of the parent, finished or not.
    """

    parent_id: str
    randomization: float
    cells: tuple[SurgeryCell, ...]
    num_cells_asked: int


def pruned_parents(frame: pd.DataFrame) -> list[str]:
    """Parents with a finished pruning, in an order that looks at no result.

    By descending randomization, then ascending seed: where most is random the surgery has most to do. The
    first is shown when nobody names one.
    """
    pruned = frame[(frame["status"] == "done") & (frame["phase"] != "train")]
    ordered = pruned.sort_values(["randomization", "seed"], ascending=[False, True], kind="stable")
    return [str(parent_id) for parent_id in ordered["parent_id"].unique()]


def get_surgery_info(
    frame: pd.DataFrame,
    history: pd.DataFrame,
    layers: Mapping[str, Sequence[Layer]],
    parent_id: str | None = None,
    cell_ids: Sequence[str] | None = None,
) -> SurgeryInfo:
    """The prunings of one parent.

    Args:
        frame: as of `analysis.results.load`.
        history: as of `analysis.results.load_history`.
        layers: as of `analysis.layers.load_layers`; cells may be missing.
        parent_id: cell id of a training; None takes the first of `pruned_parents`.
        cell_ids: which of its prunings; None means all.

    Raises:
        ValueError: the parent has no pruning in the table.
    """
    parent = next(iter(pruned_parents(frame)), None) if parent_id is None else parent_id
    if parent is None:
        return SurgeryInfo("", float("nan"), (), 0)
    asked = frame[frame["parent_id"] == parent]
    if not len(asked):
        raise ValueError(f"parent_id = {parent!r}: no pruning starts from it; name a training of the sweep")
    if cell_ids is not None:
        asked = asked[asked["cell_id"].isin(cell_ids)]
    cells = []
    columns = ["cell_id", "sparsity_target", "seed", "status"]
    for cell_id, sparsity, seed, status in asked.sort_values("sparsity_target")[columns].itertuples(
        index=False, name=None
    ):
        logged = history[(history["cell_id"] == cell_id) & history["num_pruned"].notna()]
        if status != "done" or not len(logged):
            continue
        logged = logged.sort_values("step")
        num_steps = logged["step"].diff().fillna(logged["step"])
        rates = {
            name: logged[name].astype("float64").diff().fillna(logged[name].astype("float64")) / num_steps
            for name in ("num_pruned", "num_spliced")
        }
        cells.append(
            SurgeryCell(
                cell_id=cell_id,
                sparsity=float(sparsity),
                seed=int(seed),
                steps=tuple(logged["step"].tolist()),
                target_sparsity=tuple(logged["sparsity_target"].tolist()),
                actual_sparsity=tuple(logged["sparsity"].tolist()),
                pruned_per_step=tuple(rates["num_pruned"].tolist()),
                spliced_per_step=tuple(rates["num_spliced"].tolist()),
                update_probability=tuple(logged["update_probability"].tolist()),
                layers=tuple(layers.get(cell_id, ())),
            )
        )
    randomization = float(asked["randomization"].iloc[0]) if len(asked) else float("nan")
    return SurgeryInfo(parent, randomization, tuple(cells), len(asked))


def caption(info: SurgeryInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.cells:
        return "No finished pruning has curves yet."
    return (
        f"Dynamic Network Surgery on {info.parent_id} (p = {info.randomization:g}), one line per target "
        f"sparsity S, n = 1 network each; {len(info.cells)} of {info.num_cells_asked} prunings are "
        "finished. From the top: actual sparsity and its target (thin, dotted); weights pruned (left) and "
        "spliced back (right) a step, mean since the previous logged step, each on a scale of its own; "
        "probability that a kernel’s mask is updated after a step; weights kept in each layer of the "
        "finished network, as a part of the layer’s."
    )


def plot_surgery(
    source: SurgeryInfo | pd.DataFrame,
    history: pd.DataFrame | None = None,
    layers: Mapping[str, Sequence[Layer]] | None = None,
) -> go.Figure:
    """The surgery figure.

    Args:
        source: an info, or a frame; with a frame, `history` is needed.
        history: as of `get_surgery_info`.
        layers: as of `get_surgery_info`.
    """
    if isinstance(source, SurgeryInfo):
        info = source
    else:
        if history is None:
            raise ValueError("history = None: a frame alone has no curves; give load_history(location), too")
        info = get_surgery_info(source, history, layers or {})
    if not info.cells:
        return theme.note(theme.new_figure(height=160), "No finished pruning has curves yet.")
    names = {layer.name for cell in info.cells for layer in cell.layers}
    num_cells = len(info.cells)
    heights = [_SPARSITY_PX, *[_RATES_PX] * num_cells, _PROBABILITY_PX]
    gaps = [62, *[14] * (num_cells - 1), 62]
    if names:
        heights.append(height_px(len(names)))
        gaps.append(92)
    figure, places = panels.stack_panels(heights, gaps)
    colors = [style.color for style in theme.level_styles(num_cells)]
    last_step = max(cell.steps[-1] for cell in info.cells)
    steps = theme.axis("", range=[0, 1.02 * last_step], nticks=6)
    for place, text, title in (
        (places[0], "sparsity, target dotted", ""),
        (places[num_cells + 1], "update probability", f"pruning step, from {info.parent_id}"),
    ):
        x = theme.axis(title, range=[0, 1.02 * last_step], nticks=6)
        panels.set_axes(figure, place, x, theme.axis("", range=[0, 1.05], nticks=5))
        figure.add_annotation(panels.title(text, place))
    for cell, color in zip(info.cells, colors, strict=True):
        figure.add_traces(
            [
                _line(cell, cell.target_sparsity, "target", places[0], color, dash="dot", width=1),
                _line(cell, cell.actual_sparsity, "actual", places[0], color),
                _line(cell, cell.update_probability, "update probability", places[num_cells + 1], color),
            ]
        )
    ends = theme.spread([cell.actual_sparsity[-1] for cell in info.cells], 0.09, 0.0, 1.0)
    for cell, height in zip(info.cells, ends, strict=True):
        label = theme.end_label(f"S = {cell.sparsity:g}", cell.steps[-1], height, **places[0].refs)
        figure.add_annotation(label)
    _draw_rates(figure, places[1 : num_cells + 1], info, colors, steps)
    if names:
        draw_layers(figure, places[-1], [(f"{cell.sparsity:g}", cell.layers) for cell in info.cells])
    return figure


def _draw_rates(
    figure: go.Figure,
    places: Sequence[Panel],
    info: SurgeryInfo,
    colors: Sequence[str],
    steps: dict[str, Any],
) -> None:
    """Two small panels a cell: pruned and spliced weights a step, on scales that all cells share."""
    for column, (text, rates) in enumerate(
        (
            ("pruned a step", [cell.pruned_per_step for cell in info.cells]),
            ("spliced a step", [cell.spliced_per_step for cell in info.cells]),
        )
    ):
        highest = max(max(values) for values in rates) or 1.0
        for row, (place, cell, values, color) in enumerate(
            zip(places, info.cells, rates, colors, strict=True)
        ):
            # The second column's axes are numbered above all of the stack's.
            here = place if column == 0 else place._replace(suffix=f"{100 + row}")
            x = steps | {"domain": list(_COLUMNS[column]), "nticks": 4}
            x |= {"showticklabels": place is places[-1]}
            panels.set_axes(figure, here, x, theme.axis("", range=[0, 1.08 * highest], nticks=3))
            trace = _line(cell, values, text, here, color, width=1.5)
            figure.add_trace(trace.update(fill="tozeroy", fillcolor=theme.translucent(color, 0.25)))
            if row == 0:
                figure.add_annotation(panels.title(text, here))
            if column == 1:
                label = {"yref": f"y{here.suffix} domain", "xref": "paper"}
                figure.add_annotation(theme.end_label(f"S = {cell.sparsity:g}", 1, 0.5, **label))


def _line(
    cell: SurgeryCell,
    values: Sequence[float],
    name: str,
    place: Panel,
    color: str,
    *,
    dash: str = "solid",
    width: float = 2,
) -> go.Scatter:
    return go.Scatter(
        x=theme.compact(cell.steps),
        y=theme.compact(values),
        mode="lines",
        line={"color": color, "dash": dash, "width": width},
        name=f"{name}, S = {cell.sparsity:g}",
        hovertemplate=f"S = {cell.sparsity:g}, {name}<br>step %{{x}}<br>%{{y:.4g}}<extra></extra>",
        **place.axes,
    )
