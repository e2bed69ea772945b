"""A sweep in object storage: killed, resumed, cut off from it for a while, and read from there."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rc_core.experiment import DRIVER_FILE, RECORD_FILE, read_records
from rc_core.recipes import preset
from rc_core.storage import open_storage

CELLS = preset("smoke").grid.cells()
OUTAGE_SECONDS = 8  # longer than a heartbeat's interval, so that the driver notices

TIMES = {"wall_seconds", "images_per_second"}

pytestmark = pytest.mark.timeout(280)


def rcsweep(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "tune_experiments", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def done_cells(experiment):
    return set(read_records(experiment, [cell.cell_id for cell in CELLS]))


def wait_for_cells(experiment, process, num_cells):
    """Wait until so many cells are done, while the process lives."""
    deadline_seconds = time.monotonic() + 120
    while len(done_cells(experiment)) < num_cells:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_seconds
        time.sleep(0.2)


def processes():
    """(parent's pid, start time) by pid, of every process that this one can see."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            found[int(folder.name)] = int(fields[1]), int(fields[19])
    return found


def descendants(pid):
    """(pid, start time) of the processes that a process has started, and those that they have, ..."""
    known = processes()
    found, new = set(), {pid}
    while new:
        new = {child for child, (parent, _) in known.items() if parent in new}
        found |= {(child, known[child][1]) for child in new}
    return found


def kill_with_descendants(process):
    """End a driver as a crash does, and then what is left of its own Ray."""
    left = descendants(process.pid)
    process.kill()
    process.communicate()
    for pid, started in left:
        if processes().get(pid, (0, None))[1] == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def sweep(s3_server, s3_variables, make_s3_line):
    """A sweep through everything; what each step left behind, by name."""
    root = f"s3://{s3_server.make_bucket()}/some/results"
    line = make_s3_line()
    variables = s3_variables | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{line.port}",
        "RCSWEEP_STORAGE_PATIENCE_SECONDS": "60",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_variables.items():
            patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
        environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
        # This process looks on past the line.
        experiment = open_storage(f"{root}/smoke?endpoint_override=127.0.0.1:{s3_server.port}&scheme=http")
        # One cell after the other, so that there is always one under way when the line is cut.
        run = [sys.executable, "-m", "tune_experiments", "run"]
        command = [*run, "smoke", "--stack", "1", "--storage", root]

        def start():
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )

        first = start()
        try:
            wait_for_cells(experiment, first, 1)
        finally:
            kill_with_descendants(first)
        done_before = done_cells(experiment)
        records_before = {cell: experiment.read(f"{cell}/{RECORD_FILE}") for cell in done_before}
        status_between = rcsweep("status", f"{root}/smoke", "--json", environment=environment)

        second = start()
        try:
            wait_for_cells(experiment, second, len(done_before) + 1)
            line.cut_for(OUTAGE_SECONDS)
            stdout, stderr = second.communicate(timeout=120)
        finally:
            kill_with_descendants(second)
        yield {
            "root": root,
            "environment": environment,
            "experiment": experiment,
            "records_before": records_before,
            "status_between": json.loads(status_between.stdout),
            "code": second.returncode,
            "stdout": stdout,
            "stderr": stderr,
        }


def test_the_killed_sweep_is_seen_as_dead_with_what_it_finished(sweep):
    status = sweep["status_between"]
    assert 1 <= status["counts"]["done"] == len(sweep["records_before"]) < len(CELLS)
    assert status["counts"]["running"] == 0
    assert status["driver"]["state"] == "silent"


def test_the_same_command_completes_it_through_an_outage_with_one_warning(sweep):
    assert sweep["code"] == 0, sweep["stderr"]
    num_before = len(sweep["records_before"])
    assert f"{len(CELLS) - num_before} cells to run, {num_before} finished" in sweep["stdout"]
    assert sweep["stderr"].count("the heartbeat fails, and goes on trying") == 1
    assert "Traceback" not in sweep["stderr"]
    assert done_cells(sweep["experiment"]) == {cell.cell_id for cell in CELLS}
    assert json.loads(sweep["experiment"].read(DRIVER_FILE))["ended"] is not None


def test_nothing_finished_was_done_again(sweep):
    for cell, content in sweep["records_before"].items():
        assert sweep["experiment"].read(f"{cell}/{RECORD_FILE}") == content


def test_the_folder_holds_cells_and_nothing_of_tune_s(sweep):
    names = sweep["experiment"].names()
    assert {cell.cell_id for cell in CELLS} <= set(names)
    assert [name for name in names if not name.startswith(("train-", "prune-"))] == [
        "driver.json",
        "report.html",
        "sweep.json",
    ]


def test_no_file_of_the_experiment_holds_the_credentials(sweep):
    folders = [sweep["experiment"]]
    num_files = 0
    for folder in folders:
        for name in folder.names():
            if folder.folder(name).names():
                folders.append(folder.folder(name))
            else:
                content = folder.read(name)
                assert b"test-secret" not in content
                assert b"test-key" not in content
                num_files += 1
    assert num_files > 6 * len(CELLS)
    assert "test-secret" not in sweep["stdout"] + sweep["stderr"]


def test_status_and_plan_read_it_from_there(sweep):
    status = rcsweep(
        "status", "smoke", "--storage", sweep["root"], "--json", environment=sweep["environment"]
    )
    assert status.returncode == 0, status.stderr
    counts = json.loads(status.stdout)["counts"]
    assert counts == {"done": 6, "running": 0, "failed": 0, "parent-failed": 0, "missing": 0}
    plan = rcsweep("plan", "smoke", "--storage", sweep["root"], "--json", environment=sweep["environment"])
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["num_finished"] == 6
    assert json.loads(plan.stdout)["cells"] == []


def test_the_report_is_written_there_and_anywhere_else(sweep, tmp_path):
    assert b"</html>" in sweep["experiment"].read("report.html")[-100:]
    assert f"report: {sweep['root']}/smoke/report.html" in sweep["stdout"]
    out = tmp_path / "report.html"
    done = rcsweep("report", f"{sweep['root']}/smoke", "--out", out, environment=sweep["environment"])
    assert done.returncode == 0, done.stderr
    assert "6 of 6 cells finished" in out.read_text()


def test_the_table_is_that_of_an_undisturbed_local_sweep_bit_for_bit(sweep, tmp_path):
    local = rcsweep("run", "smoke", "--stack", "1", "--storage", tmp_path)
    assert local.returncode == 0, local.stderr
    tables = []
    for location, environment in (
        (f"{sweep['root']}/smoke", sweep["environment"]),
        (tmp_path / "smoke", None),
    ):
        out = tmp_path / "table.csv"
        done = rcsweep("export", location, "--out", out, environment=environment)
        assert done.returncode == 0, done.stderr
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        tables.append([{name: row[name] for name in row.keys() - TIMES} for row in rows])
    assert len(tables[0]) == 6
    differing = {name for one, two in zip(*tables, strict=True) for name in one if one[name] != two[name]}
    assert differing <= {"code_version"}  # the code may be edited while its tests run
