"""`rcsweep status`: what it says in every state of a sweep, how it watches, how fast it is."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rc_core.cells import Grid, cell_to_dict
from rc_core.experiment import SweepSpec, empty_row
from rc_core.provenance import package_versions
from rc_core.recipes import preset, recipe_to_dict
from rc_core.storage import LocalStorage
from tune_experiments.commands import status as command
from tune_experiments.commands.status import PlainLines, follow
from tune_experiments.status import MAX_LISTED, SweepStatus, one_line, read_status, to_dict, to_lines

RECIPE = preset("digits").recipe
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))
TRAIN_0, TRAIN_1 = "train-p0.00-s42", "train-p1.00-s42"
PRUNE_0_5, PRUNE_0_9 = "prune-p0.00-s42-dns-S0.500", "prune-p0.00-s42-dns-S0.900"
PRUNE_1_5, PRUNE_1_9 = "prune-p1.00-s42-dns-S0.500", "prune-p1.00-s42-dns-S0.900"
T0 = 1767225600.0  # 2026-01-01 00:00 UTC


def begun(minute: int, host: str = "lab") -> dict[str, Any]:
    return {"started": f"2026-01-01T00:{minute:02d}:00.000+00:00", "host": host, "pid": 7}


class Folder:
    """An experiment folder, written file by file, quickly."""

    def __init__(self, path: Path, grid: Grid = GRID) -> None:
        self.path = path
        self.storage = LocalStorage(path)
        self.cells = {cell.cell_id: cell for cell in grid.cells()}
        SweepSpec(RECIPE, [grid], {"command": "rcsweep run digits --seeds 42"}).write(self.storage)

    def write(self, name: str, value: Any) -> None:
        target = self.path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(value if isinstance(value, str) else json.dumps(value, indent=1))

    def finish(self, cell_id: str, minute: int = 5, attempts: int = 1) -> None:
        cell = self.cells[cell_id]
        record = {
            "format": 1,
            "cell": cell_to_dict(cell),
            "recipe": recipe_to_dict(RECIPE),
            "row": empty_row(cell, RECIPE)
            | {"status": "done", "train_accuracy": 0.5, "label_sha256": "b" * 64},
            "layers": [
                {"name": f"blocks.{n}.conv.weight", "shape": [8, 8, 3, 3], "num_weights": 576, "num_kept": 69}
                for n in range(11)
            ],
            "provenance": {
                "host": "lab",
                "versions": package_versions(),
                "started": begun(minute - 1)["started"],
                "ended": begun(minute)["started"],
                "attempts": [begun(minute - 1)] * attempts,
            },
        }
        self.write(f"{cell_id}/record.json", record)

    def begin(self, cell_id: str, *attempts: dict[str, Any]) -> None:
        self.write(f"{cell_id}/attempts.json", {"format": 1, "attempts": attempts})

    def fail(self, cell_id: str, error: str) -> None:
        self.write(f"{cell_id}/failure.json", {"error": error, "time": begun(6)["started"], "host": "lab"})

    def drive(self, *running: str, time: float = T0 + 600, ended: float | None = None) -> None:
        beat = {"time": time, "host": "lab", "pid": 7, "token": "t", "started": T0, "ended": ended}
        beat |= {"num_slots": 2, "running": running, "eta_seconds": None if ended else 90.0}
        self.write("driver.json", beat)

    def status(self, now: float = T0 + 600) -> SweepStatus:
        return read_status(self.storage, now=now)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "sweep")


@pytest.fixture
def mixed(folder: Folder) -> Folder:
    """One cell done at the second attempt, one failed with its child, one runs, one was cut short."""
    folder.finish(TRAIN_0, attempts=2)
    folder.begin(TRAIN_1, begun(1))
    folder.fail(TRAIN_1, "RuntimeError: CUDA error\nCompile with TORCH_USE_CUDA_DSA")
    folder.begin(PRUNE_0_5, begun(8))
    folder.begin(PRUNE_0_9, begun(2, "gone"))
    folder.drive(PRUNE_0_5)
    return folder


def test_json_of_a_mixed_sweep(mixed: Folder) -> None:
    found = to_dict(mixed.status())
    cells = found.pop("cells")
    error = "RuntimeError: CUDA error\nCompile with TORCH_USE_CUDA_DSA"
    assert found == {
        "experiment": str(mixed.path),
        "counts": {"done": 1, "running": 1, "failed": 1, "parent-failed": 2, "missing": 1},
        "driver": {
            "state": "alive",
            "host": "lab",
            "pid": 7,
            "started": "2026-01-01T00:00:00+00:00",
            "last_seen": "2026-01-01T00:10:00+00:00",
            "ended": None,
            "num_slots": 2,
            "running": [PRUNE_0_5],
        },
        "eta_seconds": 90.0,
        "cells_per_second": 1 / 600,
        "failures": [
            {"cell_id": TRAIN_1, "status": "failed", "error": error},
            {"cell_id": PRUNE_1_5, "status": "parent-failed", "error": f"{TRAIN_1}: {error}"},
            {"cell_id": PRUNE_1_9, "status": "parent-failed", "error": f"{TRAIN_1}: {error}"},
        ],
        "orphaned": [PRUNE_0_9],
        "retried": [TRAIN_0],
    }
    assert cells[0] == {
        "cell_id": TRAIN_0,
        "status": "done",
        "train_accuracy": 0.5,
        "error": None,
        "attempts": 2,
    }
    assert [(cell["status"], cell["attempts"]) for cell in cells] == [
        ("done", 2),
        ("failed", 1),
        ("running", 1),
        ("missing", 1),
        ("parent-failed", 0),
        ("parent-failed", 0),
    ]


def test_text_of_a_mixed_sweep(mixed: Folder) -> None:
    assert to_lines(mixed.status(), "digits") == [
        f"{mixed.path}: 1 done, 1 running, 1 failed, 2 parent-failed, 1 missing",
        "driver: process 7 on lab, alive, started 2026-01-01 00:00:00 UTC (10 min 00 s ago)",
        "pace: 1 cell in 10 min 00 s, 6.0 an hour; about 1 min 30 s left",
        f"running        {PRUNE_0_5:<32} for 2 min 00 s on lab",
        f"failed         {TRAIN_1:<32} RuntimeError: CUDA error",
        f"parent-failed  {PRUNE_1_5:<32} {TRAIN_1}: RuntimeError: CUDA error",
        f"parent-failed  {PRUNE_1_9:<32} {TRAIN_1}: RuntimeError: CUDA error",
        f"orphaned       {PRUNE_0_9:<32} begun 2026-01-01T00:02:00+00:00 on gone, cut short",
        f"retried        {TRAIN_0:<32} 2 attempts",
        "3 cells failed; when the sweep has ended: rcsweep retry digits",
    ]
    assert max(map(len, to_lines(mixed.status(), "digits", width=60)[:-1])) == 60


@pytest.mark.parametrize(
    ("driver", "state", "text"),
    [
        (
            {"ended": T0 + 500, "time": T0 + 500},
            "ended",
            "driver: process 7 on lab, ended 2026-01-01 00:08:20 UTC (1 min 40 s ago)",
        ),
        (
            {"time": T0 + 120},
            "silent",
            "driver: process 7 on lab, silent since 2026-01-01 00:02:00 UTC (8 min 00 s ago): killed, or cut "
            "off from the storage",
        ),
        (None, "none", "driver: none has run here"),
    ],
)
def test_without_a_living_driver_the_way_on_is_named(
    folder: Folder, driver: dict[str, Any] | None, state: str, text: str
) -> None:
    folder.finish(TRAIN_0)
    folder.begin(PRUNE_0_5, begun(1))
    if driver:
        folder.drive(PRUNE_0_5, **driver)
    status = folder.status()
    assert status.driver_state == state
    assert status.eta_seconds is None
    lines = to_lines(status, "digits")
    assert lines[1] == text
    assert lines[-1] == "5 cells are not finished; to go on, the same command: rcsweep run digits --seeds 42"
    assert to_dict(status)["orphaned"] == [PRUNE_0_5]


def test_pace_counts_the_last_driver_s_cells_only(folder: Folder) -> None:
    folder.finish(TRAIN_0, minute=1)
    folder.finish(TRAIN_1, minute=4)
    folder.finish(PRUNE_0_5, minute=5)
    folder.drive(time=T0 + 360, ended=T0 + 360)
    text = (folder.path / "driver.json").read_text().replace(str(T0), str(T0 + 180))
    (folder.path / "driver.json").write_text(text)
    status = folder.status()
    assert status.pace == (2, 180.0)
    assert "pace: 2 cells in 3 min 00 s, 40.0 an hour" in to_lines(status, "x")


def test_long_lists_are_cut_in_the_text_and_whole_in_the_json(tmp_path: Path) -> None:
    grid = Grid(randomizations=(0.0,), sparsities=(), seeds=tuple(range(50)))
    folder = Folder(tmp_path / "many", grid)
    for cell_id in folder.cells:
        folder.fail(cell_id, "boom " + "x" * 5000)
    status = folder.status()
    lines = to_lines(status, "many", width=100)
    assert sum(line.startswith("failed ") for line in lines) == MAX_LISTED + 1
    assert "30 more; --json has them all" in lines[-2]
    assert max(map(len, lines)) == 100
    failures = to_dict(status)["failures"]
    assert len(failures) == 50
    assert len(failures[0]["error"]) == 5005


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError: a", "ValueError: a"),
        ("\nCUDA error: x\n  hint", "CUDA error: x"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("\x1b[31mred\x07", "[31mred"),
        ("", "no message"),
    ],
)
def test_the_line_of_an_error_that_says_most(error: str, line: str) -> None:
    assert one_line(error) == line


def test_damaged_files_are_shown_and_break_nothing(mixed: Folder) -> None:
    mixed.write(f"{TRAIN_0}/record.json", '{"format": 1, "row": {"cell_')
    mixed.write(f"{TRAIN_1}/failure.json", "")
    mixed.write(f"{PRUNE_0_9}/attempts.json", "[")
    found = to_dict(mixed.status())
    assert found["counts"] == {"done": 0, "running": 1, "failed": 1, "parent-failed": 2, "missing": 2}
    assert found["cells"][0]["error"].startswith("record.json is damaged: not valid JSON")
    assert found["cells"][1]["error"].startswith("failure.json is damaged: not valid JSON")
    assert found["orphaned"] == []
    text = "\n".join(to_lines(mixed.status(), "digits"))
    assert f"damaged        {TRAIN_0}" in text


# The command


def rcsweep(*arguments: object, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tune_experiments", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_a_name_elsewhere_comes_back_in_the_command_to_copy(mixed: Folder) -> None:
    shown = rcsweep("status", "sweep", "--storage", mixed.path.parent, code=3).stdout
    assert f"rcsweep retry sweep --storage {mixed.path.parent}" in shown
    shown = rcsweep("status", mixed.path, code=3).stdout
    assert f"rcsweep retry {mixed.path}\n" in shown


def test_watch_and_json_exclude_each_other(folder: Folder) -> None:
    assert "choose one" in rcsweep("status", folder.path, "--watch", "--json", code=2).stderr


def test_follow_ends_with_the_sweep_and_prints_changes(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    folder.drive(TRAIN_0, time=now)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            folder.finish(TRAIN_0)
        if len(waits) == 3:
            # A finished cell is read again where its record changed.
            folder.write(f"{TRAIN_0}/record.json", "{")
            folder.drive(time=now + 1, ended=now + 1)

    last = follow(folder.storage, PlainLines(), sleep)
    assert waits == [command.WATCH_SECONDS] * 3
    assert last.driver_state == "ended"
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "0 done, 1 running, 0 failed, 0 parent-failed, 5 missing",
        "1 done, 0 running, 0 failed, 0 parent-failed, 5 missing",
        "0 done, 0 running, 0 failed, 0 parent-failed, 6 missing",
    ]


def test_follow_waits_out_an_outage(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.drive(time=time.time())

    class Flaky(LocalStorage):
        is_down = False

        def read(self, name: str) -> bytes:
            if self.is_down:
                raise OSError("connection refused")
            return super().read(name)

    storage, seen = Flaky(folder.path), []

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        storage.is_down = len(seen) == 1
        if len(seen) == 2:
            folder.drive(ended=time.time())

    assert follow(storage, PlainLines(), sleep).driver_state == "ended"
    assert "trying again: connection refused" in capsys.readouterr().err


def test_watching_a_pipe_ends_quietly_with_ctrl_c(folder: Folder) -> None:
    folder.drive(time=time.time() + 30)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tune_experiments", "status", folder.path, "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline().endswith("6 missing\n")
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=20)
    assert (watcher.returncode, out, err) == (0, "", "")


def test_watching_on_a_terminal_redraws_until_the_sweep_ends(folder: Folder) -> None:
    folder.drive(time=time.time() + 30)
    parent, child = pty.openpty()
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tune_experiments", "status", folder.path, "--watch"],
        stdout=child,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(child)
    shown = b""
    while b"alive" not in shown:
        shown += os.read(parent, 4096)
    folder.finish(TRAIN_0)
    folder.drive(ended=time.time())
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:  # how a terminal says that the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    assert watcher.wait(timeout=20) == 0
    os.close(parent)
    assert b"1 done, 0 running" in shown
    assert b", ended " in shown


def test_status_imports_nothing_heavy(mixed: Folder) -> None:
    script = (
        "import sys\n"
        "from tune_experiments.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    heavy = {'torch', 'ray', 'pandas', 'plotly', 'rich.live', 'pyarrow'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)\n"
    )
    for arguments in (["status", mixed.path], ["status", mixed.path, "--json"], ["figure", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "heavy: []"


def test_3000_cells_are_shown_in_under_2_seconds(tmp_path: Path) -> None:
    """2,700 done, 100 of them retried, 100 failed, 100 orphaned, the rest not begun."""
    grid = Grid(
        randomizations=(0.0, 0.25, 0.5, 0.75, 1.0),
        sparsities=(0.5, 0.7, 0.8, 0.9, 0.95),
        seeds=tuple(range(100)),
    )
    folder = Folder(tmp_path / "large", grid)
    ids = list(folder.cells)
    assert len(ids) == 3000
    for number, cell_id in enumerate(ids[:2700]):
        folder.finish(cell_id, attempts=2 if number < 100 else 1)
    for cell_id in ids[2700:2800]:
        folder.begin(cell_id, begun(1))
        folder.fail(cell_id, "RuntimeError: boom")
    for cell_id in ids[2800:2900]:
        folder.begin(cell_id, begun(1))
    folder.drive(ended=T0 + 500)
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        shown = rcsweep("status", folder.path, "--json", code=3)
        seconds.append(time.monotonic() - start)
    found = json.loads(shown.stdout)
    assert found["counts"] == {"done": 2700, "running": 0, "failed": 100, "parent-failed": 0, "missing": 200}
    assert (len(found["orphaned"]), len(found["retried"]), len(found["cells"])) == (100, 100, 3000)
    assert min(seconds) < 2.0
