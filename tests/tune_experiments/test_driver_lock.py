"""One driver per experiment, on this machine by an flock, elsewhere by the heartbeat."""

import os
import subprocess
import sys
import time

import pytest

from rc_core.experiment import DRIVER_FILE, HEARTBEAT_LIMIT_SECONDS, write_json
from rc_core.processes import process_space
from rc_core.storage import open_storage
from tune_experiments.driver_lock import LOCK_FILE, DriverLock
from tune_experiments.plan import PlanError

HOLD = """
import sys
from rc_core.storage import open_storage
from tune_experiments.driver_lock import DriverLock

lock = DriverLock(open_storage(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def experiment(tmp_path):
    return open_storage(tmp_path / "name")


@pytest.fixture
def holder(experiment):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, experiment.location], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def beat(experiment, **changes):
    """A heartbeat of this moment from a living process of this machine, apart from the changes."""
    content = {
        "token": "aa",
        "host": "elsewhere",
        "process_space": process_space(),
        "pid": os.getpid(),
        "time": time.time(),
        "ended": None,
        "running": [],
    }
    write_json(experiment, DRIVER_FILE, content | changes)


def is_refused(experiment):
    lock = DriverLock(experiment)
    try:
        lock.acquire()
    except PlanError:
        return True
    lock.release()
    return False


def test_the_second_process_is_refused_until_the_first_one_dies(experiment, holder):
    beat(experiment, pid=holder.pid, host="here")
    with pytest.raises(PlanError, match=f"process {holder.pid} on here runs this sweep already"):
        DriverLock(experiment).acquire()
    holder.kill()
    holder.wait()
    assert not is_refused(experiment)


def test_a_lock_without_a_heartbeat_is_refused_too(experiment, holder):
    with pytest.raises(PlanError, match="another process on this host runs this sweep already"):
        DriverLock(experiment).acquire()


def test_a_silent_holder_still_holds(experiment, holder):
    beat(experiment, pid=holder.pid, time=time.time() - 5 * 3600)
    assert is_refused(experiment)


def test_release_lets_the_next_one_in(experiment):
    first = DriverLock(experiment)
    first.acquire()
    assert is_refused(experiment)
    first.release()
    first.release()
    assert not is_refused(experiment)


def test_a_refused_lock_leaves_no_lock_behind(experiment):
    beat(experiment, process_space="another machine")
    assert is_refused(experiment)
    experiment.delete(DRIVER_FILE)
    assert not is_refused(experiment)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"process_space": "another machine"}, True),
        ({"process_space": "another machine", "ended": 1.0}, False),
        ({"process_space": "another machine", "time": time.time() - HEARTBEAT_LIMIT_SECONDS - 5}, False),
        # The flock is free, so nobody on this machine holds it: the process id is another process's now.
        ({}, False),
        ({"time": time.time() + 5 * 3600}, False),
    ],
)
def test_the_heartbeat_of_a_driver_elsewhere_counts_and_that_of_a_dead_one_here_does_not(
    experiment, changes, refused
):
    beat(experiment, **changes)
    assert is_refused(experiment) == refused


def test_a_damaged_heartbeat_keeps_nobody_out(experiment):
    experiment.write(DRIVER_FILE, b'{"pid": 12')
    assert not is_refused(experiment)


def test_a_lock_file_alone_is_no_lock(experiment):
    experiment.write(LOCK_FILE, b"")
    assert not is_refused(experiment)
