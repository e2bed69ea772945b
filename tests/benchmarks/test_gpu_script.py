"""gpu.sh and what it calls, on the CPU with the smallest recipe."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_ladder, gpu_turns, paper_slices
from benchmarks.gpu_worker import Steps, Variant
from benchmarks.slice_plan import chunks_of_seed, seconds_left
from benchmarks.slice_report import comparison, table_csv
from rc_core.cells import Grid
from rc_core.experiment import COLUMNS
from rc_core.recipes import preset

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.sh"
SMOKE_CELLS = tuple(cell.cell_id for cell in preset("smoke").grid.cells())
# They tell when and by which checkout a cell was run, not what came out.
UNEQUAL_COLUMNS = {"wall_seconds", "images_per_second", "code_version"}


def start_script(command: str, out: Path, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "OUT": str(out),
        "PYTHON": sys.executable,
        "RECIPE": "smoke",
        "DEVICE": "cpu",
        "WHEELS": str(out / "no-wheels"),
        **variables,
    }
    return subprocess.Popen(
        [str(SCRIPT), command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_script(command: str, out: Path, **variables: str) -> tuple[int, str]:
    process = start_script(command, out, **variables)
    said, _ = process.communicate(timeout=280)
    return process.returncode, said


def results(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What came out of every cell: its row, and the hash of its tensors."""
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/record.json")}
    return {
        cell_id: {key: value for key, value in record["row"].items() if key not in UNEQUAL_COLUMNS}
        | {"checkpoint": record["checkpoint_sha256"]}
        for cell_id, record in records.items()
    }


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    assert run_slices(folder, "--minutes", "60") == paper_slices.COMPLETE
    return folder


def run_slices(folder: Path, *options: str) -> int:
    return paper_slices.main(["--out", str(folder), "--recipe", "smoke", "--device", "cpu", *options])


@pytest.mark.timeout(600)
def test_slices_through_a_kill_and_a_move_equal_a_straight_run(tmp_path: Path, straight: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    code, said = run_script("slice", first, MINUTES="0")
    assert code == 75, said
    killed = start_script("slice", first, MINUTES="5")
    while not (first / "seed-42" / SMOKE_CELLS[1] / "attempts.json").exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not set(SMOKE_CELLS) <= results(first / "seed-42").keys()
    code, said = run_script("slice", second, MINUTES="5", STATE=str(first))
    assert code == 0, said
    assert results(second / "seed-42") == results(straight)
    assert set(results(straight)) == set(SMOKE_CELLS)
    names = subprocess.run(
        ["tar", "-tf", str(second / "state.tar")], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert f"./seed-42/{SMOKE_CELLS[0]}/final/state.safetensors" in names
    assert f"./seed-42/{SMOKE_CELLS[-1]}/record.json" in names
    assert not [name for name in names if "prune-" in name and "/final" in name]


@pytest.mark.parametrize("num_steps", [25, 90])
def test_a_slice_that_ends_within_a_cell_goes_on_from_there(
    num_steps: int, tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter(range(10**6))
    with monkeypatch.context() as patched:
        patched.setattr(paper_slices.Slice, "is_over", lambda self: next(asked) >= num_steps)
        assert run_slices(tmp_path) == paper_slices.MORE_TO_DO
    assert list(tmp_path.glob("*/checkpoint-*"))
    assert run_slices(tmp_path) == paper_slices.COMPLETE
    assert results(tmp_path) == results(straight)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert {row["cell_id"] for row in rows} == set(SMOKE_CELLS)
    expected = results(straight)[SMOKE_CELLS[0]]["train_accuracy"]
    assert f"| 0 | {expected:.5f} |" in (tmp_path / "against_published.md").read_text()


def test_other_settings_for_a_seed_that_was_begun_are_refused(
    straight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_slices(straight, "--precision", "bfloat16") == 2
    assert "give the same options" in capsys.readouterr().err


def test_a_cell_that_failed_for_good_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / paper_slices.SLICES_FILE
    run_slices(tmp_path, "--minutes", "0")
    content = json.loads(log.read_text())
    content["failures"] = {"train-p1.00-s42": "DivergenceError: the loss is nan"}
    log.write_text(json.dumps(content))
    assert run_slices(tmp_path) == paper_slices.SOME_FAILED
    assert set(results(tmp_path)) == {name for name in SMOKE_CELLS if "-p0.00-" in name}
    report = (tmp_path / "against_published.md").read_text()
    assert "`train-p1.00-s42` failed: DivergenceError: the loss is nan" in report


def test_both_ends_of_the_grid_come_first() -> None:
    grid = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.7, 0.9), seeds=(1, 2))
    names = [[cell.cell_id for cell in chunk] for chunk in chunks_of_seed(grid, 7, stack=2)]
    assert names == [
        ["train-p0.00-s7", "train-p1.00-s7"],
        ["prune-p0.00-s7-dns-S0.500", "prune-p0.00-s7-dns-S0.700"],
        ["prune-p0.00-s7-dns-S0.900", "prune-p1.00-s7-dns-S0.500"],
        ["prune-p1.00-s7-dns-S0.700", "prune-p1.00-s7-dns-S0.900"],
        ["train-p0.50-s7"],
        ["prune-p0.50-s7-dns-S0.500", "prune-p0.50-s7-dns-S0.700"],
        ["prune-p0.50-s7-dns-S0.900"],
    ]
    with pytest.raises(ValueError, match="stack = 0"):
        chunks_of_seed(grid, 7, stack=0)


def test_time_left_takes_the_other_phase_where_one_has_no_rate() -> None:
    left = {"train": 100, "prune": 300}
    assert seconds_left(left, {}) is None
    assert seconds_left(left, {"train": 50.0}) == 100 / 50 + 300 / 50
    assert seconds_left(left, {"train": 50.0, "prune": 20.0}) == 100 / 50 + 300 / 20


def paper_row(sparsity: float | None, accuracy: float) -> dict[str, Any]:
    return {"randomization": 1.0, "sparsity_target": sparsity, "train_accuracy": accuracy}


def test_the_comparison_shows_ours_the_published_and_the_difference() -> None:
    text = comparison(
        [paper_row(None, 1.0), paper_row(0.9, 0.25)],
        replace(preset("paper"), grid=Grid(randomizations=(1.0,), sparsities=(0.8, 0.9), seeds=(42,))),
        42,
        {1.0: {0.8: 0.67422, 0.9: 0.2077}},
        {},
    )
    assert "2 of 3 cells are finished." in text
    assert text.endswith("| 1 | 1.00000 | not yet, 0.67422 | 0.25000, 0.20770, +0.04230 |\n")


def test_the_table_has_every_column_and_leaves_empty_what_is_none() -> None:
    header, line = table_csv([dict.fromkeys(COLUMNS) | {"cell_id": "a", "seed": 42}]).splitlines()
    assert header == ",".join(COLUMNS)
    assert line == "a" + "," * COLUMNS.index("seed") + "42" + "," * (len(COLUMNS) - 1 - COLUMNS.index("seed"))


def test_a_worker_begins_anew_at_the_end_of_a_run_as_it_began() -> None:
    steps = Steps(Variant(recipe="smoke", phase="prune", device="cpu"))
    steps.run(60 - 10)
    once = steps._phase.histories[0].columns
    steps.run(60)
    assert steps._phase.step == 60
    assert steps._phase.histories[0].columns == once


def test_every_rung_adds_one_thing_to_the_one_it_is_compared_with() -> None:
    rungs = {
        rung.name: rung
        for rung in gpu_ladder.numerics_rungs(Variant(recipe="paper", phase="train", device="cpu"))
    }
    for rung in rungs.values():
        if rung.against:
            before, after = vars(rungs[rung.against].variant), vars(rung.variant)
            assert len([name for name in before if before[name] != after[name]]) == 1, rung.name


def limits(**changes: Any) -> gpu_turns.Limits:
    given: dict[str, Any] = {
        "num_steps": 5,
        "end_seconds": time.monotonic() + 200,
        "stacks": (1,),
        "processes": (1,),
        "with_compile": False,
    }
    return gpu_turns.Limits(**(given | changes))


def test_a_rung_that_fails_says_why_and_leaves_the_others_alone() -> None:
    whole = Variant(recipe="smoke", phase="train", device="cpu")
    good, bad, left_out = gpu_turns.measure(
        [
            gpu_turns.Rung(name="good", variant=whole),
            gpu_turns.Rung(name="bad", variant=replace(whole, precision="float8"), against="good"),
            gpu_turns.Rung(name="fused", variant=replace(whole, compile=True), against="good"),
        ],
        limits(),
    )
    assert good["error"] is None
    assert good["num_rounds"] == gpu_turns.NUM_ROUNDS
    rate, ms = good["network_steps_per_second"]["median"], good["ms_per_network_step"]["median"]
    assert rate * ms == pytest.approx(1000)
    assert "precision = 'float8': must be one of" in bad["error"]
    assert "ms_per_network_step" not in bad
    assert left_out["error"] == "left out: compilation was not asked for"


def test_processes_that_would_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_turns, "device_bytes", lambda device: 2**30)
    rung = gpu_turns.Rung(
        name="two",  # each with half a GiB of context and some more, and a tenth must stay free
        variant=Variant(recipe="smoke", phase="train", device="cpu"),
        num_processes=2,
    )
    (row,) = gpu_turns.measure([rung], limits())
    assert row["error"].startswith("left out: 2 x ")
    assert row["error"].endswith(" bytes do not fit into 1,073,741,824")


def test_a_rung_that_hangs_is_killed_when_its_time_is_over() -> None:
    began_seconds = time.monotonic()
    (row,) = gpu_turns.measure(
        [gpu_turns.Rung(name="slow", variant=Variant(recipe="smoke", phase="train", device="cpu"))],
        limits(num_steps=10**7, end_seconds=time.monotonic() + 12),
    )
    assert row["error"] in ("no answer in time; killed", "the time was over before it was measured")
    assert time.monotonic() - began_seconds < 60


def timed_row(name: str, ms: float) -> dict[str, Any]:
    return {"name": name, "ms_per_network_step": {"median": ms}}


def test_hours_of_a_seed_are_those_of_the_fastest_way() -> None:
    sections = {
        "numerics": {
            "train": [timed_row("slow", 3.6), timed_row("fast", 1.8)],
            "prune": [timed_row("fast", 3.6)],
        },
        "stacks": {"prune": [timed_row("K = 8", 0.9), {"name": "K = 9", "error": "out of memory"}]},
    }
    projected = gpu_ladder.project_hours(sections, "paper")
    # 5 x 64,000 steps of 1.8 ms are 576 s, 25 x 20,000 of .9 ms 450 s.
    assert projected["hours"] == pytest.approx((576 + 450) / 3600)
    assert projected["by"] == {"train": "numerics: fast", "prune": "stacks: K = 8"}
    assert gpu_ladder.project_hours({}, "paper") == {"hours": None, "missing": "train"}


def test_differences_are_relative_to_the_reference() -> None:
    assert gpu_ladder.greatest_relative_difference([1.0, 2.2, 4.0], [1.0, 2.0, 5.0]) == pytest.approx(0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ladder_is_measured_section_by_section(tmp_path: Path) -> None:
    options = "--steps 5 --stacks 1,2 --processes 1,2 --no-compile"
    code, said = run_script(
        "ladder", tmp_path, LADDER_OPTIONS=f"{options} --sections gates", LADDER_SECONDS="250"
    )
    assert code == 0, said
    gates = json.loads((tmp_path / "ladder.json").read_text())["gates"]
    code, said = run_script("ladder", tmp_path, LADDER_OPTIONS=options, LADDER_SECONDS="250")
    assert code == 0, said
    sections = json.loads((tmp_path / "ladder.json").read_text())
    assert sections["gates"] == gates  # not measured again
    for phase in ("train", "prune"):
        for row in gates[phase]:
            assert row.get("passes", True), row
        assert gates[phase][2]["max_relative_difference"] == 0  # capture does nothing on the CPU
        assert [row["name"] for row in sections["stacks"][phase]] == ["K = 1", "K = 2"]
        assert [row["num_processes"] for row in sections["processes"][phase]] == [1, 2]
        names = [row["name"] for row in sections["numerics"][phase] if "note" in row]
        assert "TF32, captured" in names
    assert sections["projection"]["hours"] > 0
    assert sections["numerics"]["train_conditions"]["device"] == "cpu"


def test_the_gpu_machine_needs_neither_ray_nor_pandas_nor_torchvision() -> None:
    absent = ("ray", "pandas", "plotly", "scipy", "sklearn", "torchvision", "tyro", "pyarrow", "rich")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "from benchmarks import gpu_ladder, gpu_worker, paper_slices, slice_report\n"
        "assert slice_report.TRAIN_ACCURACY[1.0][0.9] == 0.2077\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize("command", ["", "bogus"])
def test_an_unknown_command_is_explained(command: str, tmp_path: Path) -> None:
    code, said = run_script(command, tmp_path)
    assert code == 2
    assert "Usage: OUT=DIR benchmarks/gpu.sh" in said


def test_pieces_of_data_are_joined(tmp_path: Path) -> None:
    parts, data = tmp_path / "parts", tmp_path / "data"
    parts.mkdir()
    for suffix, content in (("aa", b"one "), ("ab", b"two "), ("ac", b"three")):
        (parts / f"cifar10_train.tfrecord.part-{suffix}").write_bytes(content)
    code, said = run_script(
        "slice", tmp_path / "out", MINUTES="0", RCSWEEP_DATA=str(data), RCSWEEP_DATA_PARTS=str(parts)
    )
    assert (data / "cifar10_train.tfrecord").read_bytes() == b"one two three", said
    assert code == 75, said
