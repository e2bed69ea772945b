from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from analysis import images
from analysis.exhibits.gallery import EXHIBITS
from analysis.experiment_data import ExperimentData
from rc_core.cells import Grid
from tune_experiments.cli import main
from tune_experiments.commands.options import UsageError
from tune_experiments.commands.results import Figure, parse_choices

SMALL = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been drawn: Chromium is not asked."""
    found: list[dict[str, Any]] = []

    def write(figure: go.Figure, out: Path, **settings: Any) -> None:
        found.append({"figure": figure, "out": out} | settings)

    monkeypatch.setattr(go.Figure, "write_image", write)
    return found


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["figure", *map(str, arguments)])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_choices_size_and_mode_reach_the_image(
    make_sweep: Any, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    folder, out = make_sweep(grid=SMALL), tmp_path / "deep" / "f.svg"
    options = ["--set", "axis=halvings", "--set", "metric=test_accuracy"]
    assert run(folder, "tradeoff", "--out", out, *options) == 0
    assert run(folder, "tradeoff", "--out", out, "--dark", "--width", 400, "--height", 300) == 0
    light, dark = drawn
    choices = {"axis": "halvings", "metric": "test_accuracy"}
    expected = EXHIBITS["tradeoff"].exhibit(ExperimentData.load(folder), choices).figure
    assert light["figure"] == expected
    assert (light["out"], light["width"], light["height"]) == (out, 900, None)
    assert (dark["width"], dark["height"]) == (400, 300)
    assert dark["figure"].layout.paper_bgcolor == "#15191e"
    assert light["figure"].layout.paper_bgcolor == "#ffffff"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "axis=log"], 2, "--set axis=log: axis of tradeoff must be one of sparsity, halvings"),
        (["--set", "scale=log"], 2, "no control 'scale'; its controls are metric, value, axis"),
        (["--set", "axis"], 2, "--set axis: must be CONTROL=VALUE, e.g. axis=halvings"),
        (["--width", "0"], 1, "--width 0: must be 1 or more pixels"),
        (["--height", "-1"], 1, "--height -1: must be 1 or more pixels"),
        (["--out", "f.gif"], 1, "--out f.gif: the suffix must be one of .svg, .pdf, .png"),
    ],
)
def test_messages(
    arguments: list[str],
    code: int,
    message: str,
    make_sweep: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    drawn: list[dict[str, Any]],
) -> None:
    out = [] if "--out" in arguments else ["--out", tmp_path / "f.svg"]
    assert run(make_sweep(grid=SMALL), "tradeoff", *out, *arguments) == code
    assert message in capsys.readouterr().err
    assert drawn == []


def test_choices_are_parsed() -> None:
    assert parse_choices(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(UsageError, match=r"--set a=2: a is chosen already \(a=1\); give it once"):
        parse_choices(["a=1", "a=2"])
    with pytest.raises(UsageError, match="--set =1: must be CONTROL=VALUE"):
        parse_choices(["=1"])


def test_help_names_every_control(make_sweep: Any) -> None:
    """It cannot ask the exhibits, for that would import plotly."""
    data = ExperimentData.load(make_sweep(grid=SMALL))
    assert Figure.__doc__ is not None
    listed = dict(re.findall(r"^      ([a-z]+) {2,}(.+)$", Figure.__doc__, re.MULTILINE))
    controls = {
        name: [control.name for control in kind.controls(data)]
        for name, kind in EXHIBITS.items()
        if kind.controls(data)
    }
    assert {
        name: re.findall(r"([a-z]+)(?: \([^)]*\))?(?:, |$)", text) for name, text in listed.items()
    } == controls
    for name, text in listed.items():
        for control, options in re.findall(r"([a-z]+) \(([a-z0-9_., ]+)\)", text):
            if control != "parent":
                found = next(each for each in EXHIBITS[name].controls(data) if each.name == control)
                assert tuple(options.split(", ")) == found.values


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from tune_experiments.cli import main\n"
        "try:\n"
        "    main(['figure', '--help'])\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'ray', 'plotly', 'pandas', 'pyarrow', 'scipy'}\n"
        "    print(end.code, sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == "0 []\n"


def test_image_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the suffix must be one of"):
        images.write_image(go.Figure(), tmp_path / "f.txt", width_px=900)
    assert list(tmp_path.iterdir()) == []
