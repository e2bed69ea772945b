from __future__ import annotations

import pytest

from analysis.figures import panels, theme


def test_panels_fill_the_plotting_area_from_the_top() -> None:
    figure, places = panels.stack_panels([100, 200], gaps_px=[50], t=40, b=60)
    assert figure.layout.height == 350 + 40 + 60
    assert [place.suffix for place in places] == ["", "2"]
    assert places[0].domain == pytest.approx((250 / 350, 1.0))
    assert places[1].domain == pytest.approx((0.0, 200 / 350))
    assert places[1].axes == {"xaxis": "x2", "yaxis": "y2"}
    assert places[1].refs == {"xref": "x2", "yref": "y2"}


def test_axes_are_anchored_to_each_other() -> None:
    figure, places = panels.stack_panels([100, 100])
    panels.set_axes(figure, places[1], theme.axis("across"), theme.axis("up", range=[0, 1]))
    assert (figure.layout.xaxis2.anchor, figure.layout.yaxis2.anchor) == ("y2", "x2")
    assert figure.layout.yaxis2.domain == places[1].domain
    assert figure.layout.xaxis2.title.text == "across"
