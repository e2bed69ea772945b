"""The chaos harness: that it sees what it should see, and (slow) that a sweep stands it."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from chaos.cells import finished_cells, running_cells, whole_checkpoints
from chaos.comparison import compare_exports, compare_files, count_done
from chaos.damage import cut_in_half, flip_byte
from chaos.driver import Driver, process_is_running, session_processes
from chaos.faults import KINDS, NEEDS_CLUSTER, NEEDS_DISK, draw_faults
from chaos.harness import ChaosSettings, run_chaos
from chaos.ledger import Ledger
from chaos.results import SeedResult, format_table
from rc_core.provenance import utc_now

EVERYWHERE = {"on_cluster": True, "with_disk": True}


def test_a_seed_always_draws_the_same_faults_and_another_seed_others():
    assert draw_faults(1, 30, **EVERYWHERE) == draw_faults(1, 30, **EVERYWHERE)
    assert draw_faults(1, 30, **EVERYWHERE) != draw_faults(2, 30, **EVERYWHERE)


def test_every_kind_comes_once_before_any_comes_twice():
    assert Counter(draw_faults(3, len(KINDS), **EVERYWHERE)) == Counter(list(KINDS))
    assert max(Counter(draw_faults(3, 7, **EVERYWHERE)).values()) == 1
    drawn = Counter(draw_faults(3, 40, **EVERYWHERE))
    assert drawn.keys() == KINDS.keys()
    assert drawn.total() == 40


def test_what_is_not_there_is_not_drawn():
    drawn = draw_faults(4, 200, on_cluster=False, with_disk=False)
    assert set(drawn) == KINDS.keys() - NEEDS_CLUSTER - NEEDS_DISK
    assert len(drawn) == 200
    assert draw_faults(4, 0, **EVERYWHERE) == []
    with pytest.raises(ValueError, match="num_faults = -1: must be at least 0"):
        draw_faults(4, -1, **EVERYWHERE)


ROWS = [
    {"cell_id": "train-p0.00-s42", "status": "done", "train_loss": "0.1234567890123", "wall_seconds": "1.5"},
    {"cell_id": "train-p1.00-s42", "status": "done", "train_loss": "2.5", "wall_seconds": "1.5"},
]


def write_export(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, []),
        ({"wall_seconds": "99"}, []),
        (
            {"train_loss": "0.1234567890124"},
            ["train-p0.00-s42: train_loss is '0.1234567890124', not '0.1234567890123'"],
        ),
        ({"status": "failed"}, ["train-p0.00-s42: status is 'failed', not 'done'"]),
        ({"cell_id": "x"}, ["train-p0.00-s42: no row", "x: a row too many"]),
    ],
)
def test_the_comparison_of_exports_sees_every_digit_but_no_times(tmp_path, changes, difference):
    undisturbed = write_export(tmp_path / "a.csv", ROWS)
    disturbed = write_export(tmp_path / "b.csv", [ROWS[0] | changes, ROWS[1]])
    assert compare_exports(undisturbed, disturbed) == difference


def test_a_missing_row_and_a_missing_column_are_differences(tmp_path):
    undisturbed = write_export(tmp_path / "a.csv", ROWS)
    assert compare_exports(undisturbed, write_export(tmp_path / "b.csv", ROWS[:1])) == [
        "train-p1.00-s42: no row"
    ]
    without = [{name: row[name] for name in row if name != "train_loss"} for row in ROWS]
    assert len(compare_exports(undisturbed, write_export(tmp_path / "c.csv", without))) == 2
    assert count_done(undisturbed) == 2
    failed = write_export(tmp_path / "d.csv", [ROWS[0] | {"status": "missing"}, ROWS[1]])
    assert count_done(failed) == 1


def write_finished(experiment, cell_id, started=None, pid=0, loss=1.0):
    folder = experiment / cell_id
    (folder / "final").mkdir(parents=True, exist_ok=True)
    (folder / "final" / "state.safetensors").write_bytes(bytes(range(100)))
    (folder / "history.json").write_text("{}")
    write_attempts(folder, [{"started": started or utc_now(), "host": "h", "pid": pid}])
    (folder / "record.json").write_text(json.dumps({"row": {"cell_id": cell_id, "train_loss": loss}}))
    return folder


def write_attempts(folder, attempts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attempts.json").write_text(json.dumps({"attempts": attempts}))


def test_the_comparison_of_files_sees_a_changed_bit_and_a_missing_file(tmp_path):
    ours = write_finished(tmp_path / "a", "train-p0.00-s42")
    theirs = write_finished(tmp_path / "b", "train-p0.00-s42")
    assert compare_files(ours.parent, theirs.parent) == []
    flip_byte(theirs / "final" / "state.safetensors", random.Random(0))
    (theirs / "history.json").unlink()
    assert compare_files(ours.parent, theirs.parent) == [
        "train-p0.00-s42: final/state.safetensors differs",
        "train-p0.00-s42: history.json differs",
    ]


@pytest.fixture
def ledger(tmp_path):
    write_finished(tmp_path, "train-p0.00-s42")
    ledger = Ledger(tmp_path)
    ledger.look()
    return ledger


def test_the_ledger_is_content_while_nothing_changes_and_cells_are_added(ledger, tmp_path):
    write_finished(tmp_path, "train-p1.00-s42")
    ledger.look()
    ledger.look()
    assert (ledger.num_redone, ledger.violations, ledger.destroyed) == (0, [], [])


def test_the_ledger_sees_a_record_that_was_written_again_with_the_same_content(ledger, tmp_path):
    record = tmp_path / "train-p0.00-s42" / "record.json"
    os.utime(record, ns=(1, record.stat().st_mtime_ns + 1))
    ledger.look()
    assert ledger.num_redone == 1
    assert "record_mtime_ns changed" in ledger.violations[0]


def test_the_ledger_sees_another_attempt(ledger, tmp_path):
    write_attempts(tmp_path / "train-p0.00-s42", [{}, {}])
    ledger.look()
    assert "num_attempts changed" in ledger.violations[0]


@pytest.mark.parametrize("lose", [cut_in_half, lambda path: path.unlink()])
def test_the_ledger_sees_a_lost_record(ledger, tmp_path, lose):
    lose(tmp_path / "train-p0.00-s42" / "record.json")
    ledger.look()
    assert ledger.violations == ["train-p0.00-s42: was finished, but its record is gone"]


def test_a_record_that_a_fault_destroys_may_come_back_once(ledger, tmp_path):
    ledger.destroy("train-p0.00-s42")
    cut_in_half(tmp_path / "train-p0.00-s42" / "record.json")
    ledger.look()
    write_finished(tmp_path, "train-p0.00-s42", loss=2.0)
    ledger.look()
    assert (ledger.num_redone, ledger.destroyed) == (0, ["train-p0.00-s42"])
    write_finished(tmp_path, "train-p0.00-s42", loss=3.0)
    ledger.look()
    assert ledger.num_redone == 1


def test_running_cells_are_the_newest_of_each_living_process(tmp_path):
    def attempt(second, pid):
        return [{"started": f"2030-01-01T00:00:{second:02d}.000+00:00", "host": "h", "pid": pid}]

    write_attempts(tmp_path / "train-p0.00-s1", attempt(1, os.getpid()))  # left behind by a reused process
    write_attempts(tmp_path / "train-p0.00-s2", attempt(2, os.getpid()))
    write_attempts(tmp_path / "train-p0.00-s3", attempt(3, 2**22 + 1))  # no such process
    stack = [attempt(second, os.getppid())[0] | {"stack": "5aac1e00"} for second in (4, 5)]
    for number in (0, 1):  # a stack in another process, begun one cell after the other
        write_attempts(tmp_path / f"train-p1.00-s{number}", [stack[number]])
    write_finished(tmp_path, "train-p0.00-s4", started=attempt(0, 1)[0]["started"], pid=1)
    names = ["train-p0.00-s2", "train-p1.00-s0", "train-p1.00-s1"]
    assert [cell.folder.name for cell in running_cells(tmp_path, 0)] == names
    assert running_cells(tmp_path, time.time() + 10 * 365 * 86_400) == []
    assert [folder.name for folder in finished_cells(tmp_path)] == ["train-p0.00-s4"]
    for name in names:
        (tmp_path / name / "failure.json").write_text("{}")
    assert running_cells(tmp_path, 0) == []


def test_whole_checkpoints_have_their_json(tmp_path):
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step:08d}").mkdir()
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step:08d}" / "checkpoint.json").write_text("{}")
    assert [path.name for path in whole_checkpoints(tmp_path)] == [
        "checkpoint-00000010",
        "checkpoint-00000005",
    ]


def test_damages_are_what_they_say(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    position = flip_byte(path, random.Random(0))
    changed = path.read_bytes()
    assert [i for i in range(10) if changed[i] != b"0123456789"[i]] == [position]
    cut_in_half(path)
    assert path.read_bytes() == changed[:5]


def test_processes_of_a_session_are_found_after_its_leader_died():
    script = (
        "import subprocess as s; null = s.DEVNULL; "
        "s.Popen(['sleep', '60'], stdin=null, stdout=null, stderr=null); "
        "print('up', flush=True); input()"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert leader.stdout.readline() == b"up\n"
    leader.kill()
    leader.communicate()
    (left,) = session_processes(leader.pid)
    assert process_is_running(left)
    assert not process_is_running(leader.pid)
    os.kill(left, 9)


def test_the_output_and_exit_code_of_a_driver_are_the_commands(tmp_path):
    driver = Driver(["status", str(tmp_path / "nothing")], tmp_path / "output.txt")
    assert driver.wait(120) != 0
    assert "nothing" in driver.output
    assert driver.processes() == []


def test_the_table_sums_the_faults_of_all_seeds():
    first, second = (
        SeedResult(seed=seed, on_cluster=seed == 2, with_disk=True, num_faults_wanted=3, faults=faults)
        for seed, faults in ((1, {"worker-killed": 2, "stale-lock": 1}), (2, {"worker-killed": 3}))
    )
    assert first.num_faults == 3
    assert first.to_dict()["num_faults"] == 3
    lines = format_table([first, second]).splitlines()
    assert lines[1].split()[:3] == ["1", "local", "3"]
    assert lines[2].split()[:4] == ["2", "3", "nodes", "3"]
    assert [line.split() for line in lines[-2:]] == [["stale-lock", "1"], ["worker-killed", "5"]]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_stands_six_faults(tmp_path):
    settings = ChaosSettings(
        grid=("--randomization", "0,1", "--sparsity", "0.9", "--seeds", "42"), num_faults=6
    )
    (result,) = run_chaos([1], settings, tmp_path / "chaos")
    assert result.violations == []
    assert result.num_faults == 6
    assert (result.num_cells, result.num_cells_lost, result.num_differences) == (4, 0, 0)
    assert result.num_finished_redone == 0
