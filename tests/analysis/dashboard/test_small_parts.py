from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.dashboard.cell_files import read_cell_files, read_tail
from analysis.dashboard.commands import commands_of
from analysis.dashboard.data_table import MAX_ROWS, thinned
from analysis.dashboard.drawing import Drawings, without_markup
from analysis.dashboard.marks import component_id, number_text, status_mark
from analysis.exhibits.exhibit import Exhibit, Table
from analysis.figures.theme import STATUSES, new_figure
from analysis.settings_rows import flat, recipe_rows
from rc_core.cells import PruneCell, TrainCell
from rc_core.durations import format_seconds
from rc_core.experiment import empty_row
from rc_core.recipes import preset
from rc_core.storage import LocalStorage
from tests.analysis.dashboard.components import text


def test_tail_of_a_long_log(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"a" * 10 + "é".encode() * 5)
    assert read_tail(LocalStorage(tmp_path), "log.txt", 4) == ("éé", 16)
    assert read_tail(LocalStorage(tmp_path), "log.txt") == ("a" * 10 + "é" * 5, 0)
    assert read_tail(LocalStorage(tmp_path), "none.txt") == ("", 0)


def test_damaged_files_of_a_cell_are_named(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("[]")
    (tmp_path / "failure.json").write_text('{"error": "x"}')
    files = read_cell_files(LocalStorage(tmp_path))
    assert files.record == {}
    assert files.failure == {"error": "x"}
    (problem,) = files.problems
    assert problem.startswith("record.json: ")


def test_commands_are_quoted_and_only_given_where_they_work() -> None:
    recipe = preset("digits").recipe
    train, prune = TrainCell(randomization=0.5, seed=42), PruneCell(randomization=0.5, seed=42, sparsity=0.9)
    found = commands_of(empty_row(prune, recipe), "'my sweep'", "/a b", recipe)
    assert [command for _, command in found] == [
        f"rcsweep retry 'my sweep' {prune.cell_id}",
        f"rcsweep prune --parent '/a b/{train.cell_id}' --sparsity 0.9 --out {prune.cell_id}-again",
    ]
    remote = commands_of(empty_row(prune, recipe), "digits --storage s3://b", "s3://b/digits", recipe)
    assert [command for _, command in remote] == [f"rcsweep retry digits {prune.cell_id} --storage s3://b"]
    changed = dataclasses.replace(recipe, width=99)
    assert len(commands_of(empty_row(train, changed), "digits", "/a", changed)) == 1
    assert commands_of(empty_row(train, recipe), "digits", "/a", None) == []


def test_markup_of_figures() -> None:
    figure = {"data": [{"text": ["<b>1</b><br>±2", '<a href="http://x">y</a>', "<script>", "a < b"]}], "n": 1}
    assert without_markup(figure) == {
        "data": [{"text": ["<b>1</b><br>±2", '&lt;a href="http://x">y&lt;/a>', "&lt;script>", "a &lt; b"]}],
        "n": 1,
    }


def test_drawings_are_kept_up_to_a_number() -> None:
    drawn = []

    def draw(name: str) -> Exhibit:
        drawn.append(name)
        return Exhibit(new_figure(100), name, Table("t", (), []))

    drawings = Drawings(max_kept=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert drawings.get(name, lambda name=name: draw(name)).caption == name  # type: ignore[misc]
    assert drawn == ["a", "b", "c", "b"]


def test_tables_in_folds_are_thinned() -> None:
    rows = [(number,) for number in range(2 * MAX_ROWS + 1)]
    shown, note = thinned(rows)
    assert [row[0] for row in shown] == list(range(0, 2 * MAX_ROWS + 1, 3))
    assert note == "Every 3. of 121 rows; the file has all of them."
    assert thinned(rows[:5]) == (rows[:5], "5 rows.")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (1.0, "1.0000"),
        (0.12345, "0.1235"),
        (7, "7"),
        (True, "yes"),
        ("x", "x"),
    ],
)
def test_numbers(value: object, expected: str) -> None:
    assert number_text(value) == expected


def test_spans() -> None:
    assert [format_seconds(seconds) for seconds in (45.4, 200, 7500, 273_600)] == [
        "45 s",
        "3 min 20 s",
        "2 h 05 min",
        "3 d 04 h",
    ]


def test_statuses_are_told_by_icon_word_and_class() -> None:
    for status, style in STATUSES.items():
        mark = status_mark(status)
        assert text(mark) == f"{style.icon} {style.word}"
        assert mark.className == f"status {status}"


def test_ids_hold_nothing_that_dash_reads() -> None:
    assert component_id("row", "prune-S0.900{}") == "row-prune-S0_2e_900_7b__7d_"


def test_settings_beside_each_other() -> None:
    own = {"a": 1, "b": {"c": None, "d": [1, 2]}}
    assert flat(own) == [("a", "1"), ("b.c", "not set"), ("b.d", "[1, 2]")]
    assert recipe_rows(own, {"a": 2, "b": {"c": None}}) == [
        ("a", "1", "2", True),
        ("b.c", "not set", "not set", False),
        ("b.d", "[1, 2]", "–", True),
    ]
    assert not any(is_different for *_, is_different in recipe_rows(own, None))
