"""Kept weights per layer of some networks: a panel of a figure, layers down, networks across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from analysis.figures import panels, theme
from analysis.figures.panels import Panel
from analysis.layers import Layer

# Of more layers the squares carry no numbers, and every second one is named.
_MAX_NUMBERED = 24
_ROW_PX, _NARROW_ROW_PX = 24, 10


def height_px(num_layers: int) -> int:
    """Height that the panel needs."""
    return num_layers * (_ROW_PX if num_layers <= _MAX_NUMBERED else _NARROW_ROW_PX)


def short_name(layer: str) -> str:
    """A layer's name without what all of them share: `0.conv1` of `blocks.0.conv1.weight`."""
    return layer.removesuffix(".weight").removeprefix("blocks.")


def draw_layers(figure: go.Figure, place: Panel, networks: Sequence[tuple[str, Sequence[Layer]]]) -> None:
    """Draw the panel.

    Args:
        figure: to draw into.
        place: of the panel, `height_px` high.
        networks: target sparsity as text, and layers; one column each.
    """
    names = list(dict.fromkeys(layer.name for _, layers in networks for layer in layers))
    is_numbered = len(names) <= _MAX_NUMBERED
    found = [{layer.name: layer for layer in layers} for _, layers in networks]
    squares = [
        (name, by_name.get(name), row, column)
        for row, name in enumerate(names)
        for column, by_name in enumerate(found)
    ]
    num_columns = len(networks)

    def rows_of(values: Sequence[Any]) -> list[Sequence[Any]]:
        return [values[start : start + num_columns] for start in range(0, len(values), num_columns)]

    figure.add_trace(
        go.Heatmap(
            z=rows_of([None if layer is None else layer.density for _, layer, _, _ in squares]),
            x=list(range(num_columns)),
            y=list(range(len(names))),
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            xgap=3,
            ygap=2 if is_numbered else 0,
            text=rows_of(
                [
                    f"{name}: not recorded"
                    if layer is None
                    else f"{name}, S = {networks[column][0]}<br>"
                    f"{layer.num_kept:,} of {layer.num_weights:,} weights kept ({layer.density:.4f})"
                    for name, layer, _, column in squares
                ]
            ),
            hovertemplate="%{text}<extra></extra>",
            name="density",
            showscale=not is_numbered,
            colorbar={"thickness": 12, "len": place.domain[1] - place.domain[0], "y": sum(place.domain) / 2},
            **place.axes,
        )
    )
    figure.add_annotation(panels.title("kept weights per layer (block.kernel)", place))
    if is_numbered:
        figure.add_trace(_numbers([square for square in squares if square[1] is not None], place))
    every = 1 if is_numbered else 2
    panels.set_axes(
        figure,
        place,
        theme.axis(
            "target sparsity",
            tickvals=list(range(num_columns)),
            ticktext=[sparsity for sparsity, _ in networks],
            range=[-0.5, num_columns - 0.5],
            showgrid=False,
        ),
        theme.axis(
            "",
            tickvals=list(range(0, len(names), every)),
            ticktext=[short_name(name) for name in names[::every]],
            range=[len(names) - 0.5, -0.5],
            showgrid=False,
        ),
    )


def _numbers(squares: Sequence[tuple[str, Layer | None, int, int]], place: Panel) -> go.Scatter:
    """Densities as texts in their squares; one trace takes a tenth of the space of as many annotations."""
    densities = [layer.density for _, layer, _, _ in squares if layer is not None]
    colors = [theme.text_color_on(theme.sequential_color(density)) for density in densities]
    return go.Scatter(
        x=[column for *_, column in squares],
        y=[row for *_, row, _ in squares],
        mode="text",
        text=[f"{density:.3f}" for density in densities],
        textfont={"size": 12, "color": colors},
        hoverinfo="skip",
        name="density in numbers",
        **place.axes,
    )
