"""Ctrl-C and SIGTERM, and how a request to stop reaches trials and heartbeat."""

import json
import os
import signal
import threading

import pytest

from rc_core.cells import Grid
from rc_core.experiment import DRIVER_FILE, read_json
from rc_core.storage import open_storage
from tune_experiments import heartbeat as heartbeat_module
from tune_experiments import stop_request
from tune_experiments.heartbeat import Heartbeat
from tune_experiments.interrupts import Interrupts
from tune_experiments.progress import SweepProgress
from tune_experiments.queue import CellQueue
from tune_experiments.stop_request import STOP_FILE, StopPoll, clear_stop_request, request_stop

WAIT_SECONDS = 60


@pytest.mark.parametrize("number", Interrupts.SIGNALS)
def test_the_first_signal_asks_and_the_second_raises(number):
    with Interrupts() as interrupts:
        assert not interrupts.requested.is_set()
        os.kill(os.getpid(), number)
        assert interrupts.requested.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_of_before_return_also_after_an_error():
    before = [signal.getsignal(number) for number in Interrupts.SIGNALS]
    during = []

    def fail():
        with Interrupts():
            during.extend(signal.getsignal(number) for number in Interrupts.SIGNALS)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not set(during) & set(before)
    assert [signal.getsignal(number) for number in Interrupts.SIGNALS] == before


def test_signals_that_something_else_took_can_be_taken_again():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as ray.init does, with a handler of its own
        interrupts.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested.is_set()
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_nothing_is_installed():
    before = [signal.getsignal(number) for number in Interrupts.SIGNALS]
    inside = []

    def enter():
        with Interrupts() as interrupts:
            inside.append((interrupts.requested.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert inside == [(False, before[0])]


@pytest.fixture
def experiment(tmp_path):
    return open_storage(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """Monotonic time of stop_request, moved by hand."""
    now = [0.0]
    monkeypatch.setattr(stop_request.time, "monotonic", lambda: now[0])
    return now


def test_a_trial_hears_of_a_stop_within_a_second(experiment, clock):
    poll = StopPoll(experiment, "mine")
    request_stop(experiment, "mine")
    assert not poll()  # it does not look yet
    clock[0] = 1.0
    assert poll()
    clear_stop_request(experiment)
    clock[0] = 2.0
    assert not poll()


@pytest.mark.parametrize("content", [b'{"driver": "other"}', b"{}", b'{"driver": "mi', b"", b"[1]", b"\xff"])
def test_nothing_but_a_whole_request_of_the_own_driver_stops_a_trial(experiment, clock, content):
    poll = StopPoll(experiment, "mine")
    experiment.write(STOP_FILE, content)
    clock[0] = 1.0
    assert not poll()


class Display:
    def __init__(self):
        self.lines = []

    def event(self, line):
        self.lines.append(line)

    def refresh(self):
        pass

    def close(self):
        pass


@pytest.fixture
def beating(experiment, monkeypatch):
    """A heartbeat that beats fast, with the parts that it serves."""
    monkeypatch.setattr(heartbeat_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat_module, "REFRESH_SECONDS", 0.01)
    queue = CellQueue(Grid(randomizations=(0.0,), sparsities=(), seeds=(1,)).cells())
    display, stop = Display(), threading.Event()
    progress = SweepProgress(queue, 1, {"train": 1.0, "prune": 1.0})
    heartbeat = Heartbeat(experiment, "mine", queue, progress, display, stop)
    heartbeat.start()
    yield queue, display, stop, heartbeat
    heartbeat.stop()


def wait_for(condition):
    """Until it holds; the limit only ends a test that would hang."""
    tick = threading.Event()
    for _ in range(WAIT_SECONDS * 100):
        if condition():
            return True
        tick.wait(0.01)
    return False


def test_a_requested_stop_reaches_queue_and_storage_once(experiment, beating):
    queue, display, stop, _ = beating
    stop.set()
    assert wait_for(lambda: read_json(experiment, STOP_FILE) == {"driver": "mine"})
    assert queue.stopped
    assert wait_for(lambda: len(display.lines) == 1)
    assert "running cells write a checkpoint" in display.lines[0]


def test_a_driver_that_was_taken_for_dead_gives_way(experiment, beating):
    queue, display, stop, heartbeat = beating
    taken_over = {"token": "theirs", "pid": 7, "host": "there"}
    experiment.write(DRIVER_FILE, json.dumps(taken_over).encode())
    assert wait_for(stop.is_set)
    assert "process 7 on there took this sweep over" in display.lines[0]
    assert wait_for(lambda: queue.stopped)
    heartbeat.stop()  # its last word must not end the successor
    assert read_json(experiment, DRIVER_FILE) == taken_over


def test_the_last_beat_says_that_the_driver_ended(experiment, beating):
    *_, heartbeat = beating
    assert read_json(experiment, DRIVER_FILE)["ended"] is None
    heartbeat.stop()
    assert read_json(experiment, DRIVER_FILE)["ended"] is not None


@pytest.mark.parametrize("content", [b'{"token": "mi', b"{}", b"[]", b""])
def test_a_damaged_heartbeat_is_mended(experiment, beating, content):
    _, _, stop, _ = beating
    experiment.write(DRIVER_FILE, content)

    def mended():
        try:
            return read_json(experiment, DRIVER_FILE).get("token") == "mine"
        except ValueError:
            return False

    assert wait_for(mended)
    assert not stop.is_set()
