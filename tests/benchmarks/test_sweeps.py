import json

import pytest

from benchmarks import sweeps
from benchmarks.harness import Spread
from benchmarks.sweeps import SweepError, SweepRun, Work
from benchmarks.trees import Tree
from rc_core.recipes import preset


def write_spec(folder, num_done):
    runs = [{"num_done": number} for number in num_done]
    (folder / "sweep.json").write_text(json.dumps({"provenance": {"sweep_seconds": 120.5, "runs": runs}}))


def test_run_is_read_from_the_sweeps_own_record(tmp_path):
    write_spec(tmp_path, [54])
    assert sweeps.read_run(tmp_path, 140.0, 54) == SweepRun(54, 120.5, 140.0)


@pytest.mark.parametrize("num_done", [[53], [], [50, 4]])
def test_a_sweep_that_is_not_whole_is_refused(tmp_path, num_done):
    write_spec(tmp_path, num_done)
    with pytest.raises(SweepError, match=r"must be \[54\]"):
        sweeps.read_run(tmp_path, 140.0, 54)


def test_cells_per_minute_by_hand():
    runs = {
        "before": [SweepRun(54, 120, 135), SweepRun(54, 108, 162)],
        "product": [SweepRun(54, 60, 81), SweepRun(54, 36, 54)],
    }
    by_sweep_time, by_wall_time = sweeps.cells_per_minute(runs, Work("digits"))
    before, product = by_sweep_time.measured
    assert before.rates == (27, 30)
    assert product.rates == (54, 90)
    assert product.ratio == Spread(median=2.5, minimum=2, maximum=3)
    assert [each.rates for each in by_wall_time.measured] == [(24, 20), (40, 60)]
    assert (by_sweep_time.name, by_wall_time.name) == ("sweep-time", "wall-time")
    assert by_sweep_time.baseline == by_wall_time.baseline == "before"


def test_work_is_the_default_grid_or_the_same_with_other_seeds():
    default, longer = Work("digits"), Work("digits", num_seeds=5)
    assert default.grid == preset("digits").grid
    assert default.arguments == ("digits",)
    assert (default.named("sweeps"), str(default)) == ("sweeps", "`rcsweep run digits`")
    assert longer.grid.seeds == (42, 43, 44, 45, 46)
    assert len(longer.grid.cells()) == 5 * 18
    assert longer.arguments == ("digits", "--seeds", "42,43,44,45,46")
    assert (longer.named("sweeps"), str(longer)) == ("sweeps-5-seeds", "`rcsweep run digits`, 5 seeds")


def plant_package(root, name, module, text):
    folder = root / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / f"{module}.py").write_text(text)


def test_a_failed_command_is_told_with_its_last_lines(tmp_path):
    plant_package(tmp_path, "tune_experiments", "__main__", "raise SystemExit('no room on the disk')")
    with pytest.raises(SweepError, match=r"(?s)run smoke .*ended with 1:.*no room on the disk"):
        sweeps.run_sweep(Tree(tmp_path, "test"), Work("smoke"))


@pytest.mark.parametrize("stray", ["driver", "worker"])
def test_processes_that_import_other_code_are_refused(tmp_path, stray):
    paths = {process: [str(tmp_path / "rc_core" / "__init__.py")] for process in ("driver", "worker")}
    paths[stray].append("/elsewhere/rc_core/__init__.py")
    plant_package(tmp_path, "benchmarks", "imported_code", f"print({json.dumps(paths)!r})")
    with pytest.raises(SweepError, match=f"the {stray} of v1 imports /elsewhere"):
        sweeps.require_own_code(Tree(tmp_path, "v1"))


def test_own_code_is_accepted(tmp_path):
    paths = {process: [str(tmp_path / "rc_core" / "__init__.py")] for process in ("driver", "worker")}
    plant_package(tmp_path, "benchmarks", "imported_code", f"print({json.dumps(paths)!r})")
    sweeps.require_own_code(Tree(tmp_path, "v1"))
