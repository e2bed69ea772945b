"""The figure of docs/scaling.md: utilisation against GPUs, one line a size of sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from analysis.figures import theme
from benchmarks.scaling.cluster import STEPS


class UtilisationInfo(NamedTuple):
    """What the figure shows.

    Attributes:
        num_gpus: ascending.
        lines: number of cells -> utilisation at each of `num_gpus`.
    """

    num_gpus: tuple[int, ...]
    lines: dict[int, tuple[float, ...]]


def get_utilisation_info(scenarios: Sequence[Mapping[str, Any]]) -> UtilisationInfo:
    """The simulations of the table `size`."""
    points: dict[int, dict[int, float]] = {}
    for entry in scenarios:
        if entry["table"] == "size":
            outcome = entry["outcome"]
            cells = sum(outcome["num_cells"].values())
            share = outcome["slot_seconds"][STEPS] / outcome["gpu_seconds"]
            points.setdefault(cells, {})[entry["cluster"]["num_gpus"]] = share
    num_gpus = tuple(sorted(next(iter(points.values()))))
    return UtilisationInfo(
        num_gpus, {cells: tuple(shares[num] for num in num_gpus) for cells, shares in points.items()}
    )


def plot_utilisation(info: UtilisationInfo) -> go.Figure:
    """The figure."""
    figure = theme.new_figure(
        height=400,
        margin={"l": 60, "r": 130, "t": 20, "b": 50},
        xaxis=theme.axis(
            "GPUs (8 a node)",
            type="log",
            tickvals=info.num_gpus,
            ticktext=[str(num) for num in info.num_gpus],
        ),
        yaxis=theme.axis("part of the GPUs' time spent in steps", range=[0, 1]),
    )
    ends = theme.spread([shares[-1] for shares in info.lines.values()], 0.06, 0.03, 0.97)
    styles = theme.level_styles(len(info.lines))
    for (cells, shares), style, end in zip(info.lines.items(), styles, ends, strict=True):
        figure.add_scatter(
            x=info.num_gpus,
            y=shares,
            mode="lines+markers",
            name=f"{cells:,} cells",
            line={"color": style.color, "width": 2},
            marker={"color": style.color, "symbol": style.symbol, "size": 9},
            cliponaxis=False,
        )
        figure.add_annotation(theme.end_label(f"{cells:,} cells", 1, end, xref="x domain", yref="y"))
    return figure
