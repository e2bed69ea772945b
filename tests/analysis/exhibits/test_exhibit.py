from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import plotly.graph_objects as go
import pytest

from analysis.exhibits.exhibit import Control, Exhibit, ExhibitKind, Table, complete, no_controls
from analysis.experiment_data import ExperimentData

AXIS = Control("axis", "Axis", (("sparsity", "S"), ("halvings", "halvings of the kept weights")))
VALUE = Control("value", "Value", (("absolute", "as is"), ("drop", "drop")))
DATA = cast(ExperimentData, None)  # none of these kinds looks at it


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    return Exhibit(go.Figure(), repr(dict(choices)), Table("t", ("x",), []))


def test_choices_are_completed_by_the_first_options() -> None:
    kind = ExhibitKind(name="one", title="One", controls=lambda data: (AXIS, VALUE), draw=draw)
    assert kind.exhibit(DATA).caption == repr({"axis": "sparsity", "value": "absolute"})
    drawn = kind.exhibit(DATA, {"value": "drop"})
    assert drawn.caption == repr({"axis": "sparsity", "value": "drop"})
    assert drawn.min_width_px == 340


def test_wrong_choices_name_control_value_and_options() -> None:
    kind = ExhibitKind(name="one", title="One", controls=lambda data: (AXIS, VALUE), draw=draw)
    with pytest.raises(ValueError, match="axis=log: axis of one must be one of sparsity, halvings"):
        kind.exhibit(DATA, {"axis": "log"})
    with pytest.raises(ValueError, match="one has no control 'scale'; its controls are axis, value"):
        kind.exhibit(DATA, {"scale": "log"})
    plain = ExhibitKind(name="plain", title="Plain", controls=no_controls, draw=draw)
    with pytest.raises(ValueError, match="axis=log: plain has no control 'axis'; it has no controls"):
        plain.exhibit(DATA, {"axis": "log"})


def test_of_many_options_the_message_names_some() -> None:
    parents: tuple[Any, ...] = tuple((f"p{number}", "") for number in range(22))
    with pytest.raises(ValueError, match=r"parent=x: parent of f must be one of p0, .*p19 and 2 more$"):
        complete({"parent": "x"}, [Control("parent", "Parent", parents)], "f")
