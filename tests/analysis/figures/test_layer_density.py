from __future__ import annotations

from analysis.figures import panels
from analysis.figures.layer_density import draw_layers, height_px, short_name
from analysis.layers import Layer


def test_few_layers_are_numbered_and_many_are_not() -> None:
    for num_layers, height in ((11, 264), (24, 576), (59, 590)):
        assert height_px(num_layers) == height
        figure, (place,) = panels.stack_panels([height])
        layers = [Layer(f"blocks.{number}.conv1.weight", 100, number) for number in range(num_layers)]
        draw_layers(figure, place, [("0.9", layers)])
        numbers = [text for trace in figure.data if trace.type == "scatter" for text in trace.text]
        assert numbers == ([f"{number / 100:.3f}" for number in range(num_layers)] if height != 590 else [])
        assert len(figure.layout.yaxis.ticktext) == (num_layers if height != 590 else 30)


def test_short_name() -> None:
    assert short_name("blocks.2.shortcut.weight") == "2.shortcut"
    assert short_name("classifier.weight") == "classifier"
