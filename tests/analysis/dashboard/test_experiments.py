from __future__ import annotations

from pathlib import Path

import pytest

from analysis.dashboard.addresses import Address, page_path, read_path, trial_path
from analysis.dashboard.answers import Answers, View
from analysis.dashboard.changes import plain
from analysis.dashboard.experiments import Experiments, Summary, holds_experiments
from analysis.dashboard.filters import Filters
from rc_core.cells import Grid
from rc_core.storage import LocalStorage
from tests.analysis.conftest import MakeSweep
from tests.analysis.dashboard.components import links, of_type, text

GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5,), seeds=(42,))


def test_only_listed_folders_with_a_sweep_are_found(make_sweep: MakeSweep, tmp_path: Path) -> None:
    make_sweep(grid=GRID)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "sweep.json").write_text("{}")
    experiments = Experiments(LocalStorage(tmp_path))
    assert experiments.names() == ["digits"]
    assert experiments.find("digits") is experiments.find("digits")
    for name in ("notes", ".hidden", "..", ".", "", "digits/", "digits/../digits", str(tmp_path / "digits")):
        assert experiments.find(name) is None


def test_summaries(make_sweep: MakeSweep, tmp_path: Path) -> None:
    make_sweep("a", grid=GRID)
    make_sweep("b", grid=GRID, failures={"train-p1.00-s42": "no"}, running=["prune-p0.00-s42-dns-S0.500"])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "sweep.json").write_text('{"half')
    a, b, c = Experiments(LocalStorage(tmp_path)).summaries()
    assert a == Summary("a", "digits", 4, 4, 0, False)
    # Its failed training has a child, which is not finished either.
    assert b == Summary("b", "digits", 4, 1, 1, True)
    assert "sweep.json: not valid JSON" in c.problem


def test_folders_of_experiments(make_sweep: MakeSweep, tmp_path: Path) -> None:
    folder = make_sweep(grid=GRID)
    cells = make_sweep("loose", grid=GRID, with_spec=False)
    assert holds_experiments(LocalStorage(tmp_path))
    assert not any(map(holds_experiments, map(LocalStorage, (folder, cells, tmp_path / "later"))))


def test_words_of_commands(tmp_path: Path) -> None:
    parent = LocalStorage(tmp_path)
    assert Experiments(parent, only="a b", storage_words=("--storage", "/x y")).words("a b") == (
        "'a b' --storage '/x y'"
    )
    assert Experiments(None, only="x", storage=LocalStorage(tmp_path / "x")).words("x") == f"{tmp_path}/x"


@pytest.mark.parametrize("name", ["digits", "a b", "50%", "ä?#&", '"><script>', "p=0.5;S"])
def test_addresses_bring_names_back(name: str) -> None:
    assert read_path(page_path(name)) == Address(name)
    assert read_path(page_path(name, "trials")) == Address(name, "trials")
    assert read_path(trial_path(name, name)) == Address(name, "trial", name)


def test_other_paths_name_nothing() -> None:
    assert read_path("/") == Address(None, "experiments")
    for path in ("/x", "/e", "/e/a/b/c", "/e/a/trial/b/c", "/download/a/b"):
        assert read_path(path) is None


def test_list_escapes_names(make_sweep: MakeSweep, tmp_path: Path) -> None:
    name = '"><script>alert(1)<'
    make_sweep(name, grid=GRID)
    answers = Answers(Experiments(LocalStorage(tmp_path)))
    listing = answers.content(View("/", "?live=off", False))
    assert f"{name} ✓ finished digits 4 0 4" in text(listing.parts)
    address = page_path(name, "", Filters(is_live=False))
    assert address in links(listing.parts)
    assert "<" not in address
    page = answers.content(View(address.partition("?")[0], "", False))
    assert [heading["children"] for heading in of_type(page.parts, "H1")] == [name]
    # Dash makes texts of children; nothing here is markup.
    assert "dangerously_allow_html" not in str(plain(page.parts))


def test_list_of_nothing(tmp_path: Path) -> None:
    content = Answers(Experiments(LocalStorage(tmp_path / "results"))).content(View("/", "", False))
    assert "no experiment here yet" in text(content.parts)
    assert content.is_live


def test_pages_fill_when_a_sweep_begins_later(make_sweep: MakeSweep, tmp_path: Path) -> None:
    answers = Answers(Experiments(LocalStorage(tmp_path), only="digits"))
    view = View("/e/digits/grid", "", False)
    assert "nothing here yet" in text(answers.content(view).parts)
    make_sweep(grid=GRID)
    content = answers.content(view, fresh=True)
    assert "4 of 4 cells" in text(content.parts)
    assert content.looked_seconds > 0


def test_shell_tells_where_one_is(make_sweep: MakeSweep, tmp_path: Path) -> None:
    make_sweep(grid=GRID)
    answers = Answers(Experiments(LocalStorage(tmp_path)))
    content = answers.content(View("/e/digits/trial/train-p0.00-s42", "?seed=42&sort=seed", False))
    assert content.title == "train-p0.00-s42 · digits · rcsweep"
    nav = content.parts[1]
    current = [link for link in of_type(nav, "A") if "aria-current" in link]
    assert [(link["children"], link["aria-current"]) for link in current] == [("Trials", "true")]
    assert current[0]["href"] == "/e/digits/trials?seed=42"
    (pause,) = [part for part in content.parts if getattr(part, "id", "") == "pause"]
    assert links(pause) == ["/e/digits/trial/train-p0.00-s42?seed=42&sort=seed&live=off"]
    trials = answers.content(View("/e/digits/trials", "?live=off", False))
    assert not trials.is_live
    current = [link for link in of_type(trials.parts[1], "A") if "aria-current" in link]
    assert [(link["children"], link["aria-current"]) for link in current] == [("Trials", "page")]
