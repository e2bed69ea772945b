"""Counts, ETA and lines of the progress display."""

import io

import pytest

from rc_core.cells import Grid
from rc_core.durations import format_seconds
from tune_experiments import progress as progress_module
from tune_experiments.progress import LiveDisplay, PlainDisplay, SweepProgress, open_display
from tune_experiments.queue import CellQueue

RESULT = {"train_accuracy": 0.99, "test_accuracy": 0.5, "sparsity": 0.88, "wall_seconds": 4.0}


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_module.time, "monotonic", clock.monotonic)
    return clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 05 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_counts_and_eta_follow_the_cells(clock):
    grid = Grid(randomizations=(0.0,), sparsities=(0.5, 0.9), seeds=(1,))
    queue = CellQueue(grid.cells())
    progress = SweepProgress(queue, num_slots=2, cell_seconds={"train": 10.0, "prune": 6.0})

    assert progress.summary() == "0/3 done, 0 running, 0 failed, 3 waiting; 0 s spent, about 11 s left"
    progress.cell_started(*queue.take())
    clock.now += 4
    # 6 s of the training are left and two prunings of 6 s: 18 s of work on two slots
    assert progress.eta_seconds() == pytest.approx(9.0)
    clock.now += 4
    queue.finish("train-p0.00-s1")
    line = progress.cell_finished(queue.cells["train-p0.00-s1"], RESULT)
    assert line.startswith("done    train-p0.00-s1 ")
    assert "sparsity" not in line
    # its 4 s in place of 10 let a pruning expect 2.4 s in place of 6
    assert progress.eta_seconds() == pytest.approx(2.4)
    (child,) = queue.take()
    progress.cell_started(child)
    clock.now += 2
    queue.finish(child.cell_id)
    assert "sparsity 0.880" in progress.cell_finished(child, RESULT | {"wall_seconds": 2.0})
    # the measured 2 s replace the estimate of 6 s
    assert progress.eta_seconds() == pytest.approx(1.0)
    (failed,) = queue.take()
    progress.cell_started(failed)
    queue.fail(failed.cell_id, "boom")
    assert "boom" in progress.cell_failed(failed, "boom")
    assert progress.summary() == "2/3 done, 0 running, 1 failed, 0 waiting; 10 s spent, about 0 s left"


def test_the_cells_of_a_stack_share_its_slot(clock):
    queue = CellQueue(Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(), seeds=(1,)).cells())
    progress = SweepProgress(queue, num_slots=1, cell_seconds={"train": 10.0, "prune": 6.0})
    for cell in queue.take(2):
        progress.cell_started(cell, stack=2)
    clock.now += 8
    # Each of the two has had 4 s of its 10 s; the third waits.
    assert progress.eta_seconds() == pytest.approx(6 + 6 + 10)
    assert progress.summary().startswith("0/3 done, 2 running, 0 failed, 1 waiting;")
    isolated = queue.cells["train-p0.50-s1"]
    assert progress.cell_isolated(isolated).startswith("again   train-p0.50-s1 ")
    assert progress.running_ids() == ["train-p0.00-s1"]
    assert progress.trial_restarted("train-p1.00-s1", (2, 3)).split("; ")[1] == "try 2 of 3"
    assert progress.trial_restarted("train-p1.00-s1", None).endswith("; not counted as a failure")


def test_plain_output_says_events_at_once_and_summaries_now_and_then(clock):
    queue = CellQueue(Grid(randomizations=(0.0,), sparsities=(), seeds=(1,)).cells())
    stream = io.StringIO()
    display = PlainDisplay(SweepProgress(queue, 1, {"train": 1.0, "prune": 1.0}), stream)

    display.event("hello")
    display.refresh()
    assert stream.getvalue() == "hello\n"
    clock.now += 31
    display.refresh()
    display.refresh()
    assert stream.getvalue().count("0/1 done") == 1
    assert "\x1b" not in stream.getvalue()


def test_the_live_region_keeps_cell_lines_and_puts_others_above_it():
    queue = CellQueue(Grid(randomizations=(0.0,), sparsities=(), seeds=(1,)).cells())
    progress = SweepProgress(queue, 1, {"train": 1.0, "prune": 1.0})
    stream = io.StringIO()
    display = LiveDisplay(progress, stream)
    (cell,) = queue.take()
    progress.cell_started(cell)
    queue.finish(cell.cell_id)
    display.event(progress.cell_finished(cell, RESULT))
    display.event("stopping: [not markup]")
    display.close()

    shown = stream.getvalue()
    assert "done    train-p0.00-s1" in shown
    assert "stopping: [not markup]" in shown
    assert "1/1 done, 0 running" in shown


@pytest.mark.parametrize(
    ("is_terminal", "term", "kind"),
    [
        (True, "xterm-256color", LiveDisplay),
        (True, "dumb", PlainDisplay),  # as behind `ray exec`
        (True, None, PlainDisplay),
        (False, "xterm-256color", PlainDisplay),
    ],
)
def test_lines_are_redrawn_only_where_a_terminal_can(is_terminal, term, kind, monkeypatch):
    class Stream(io.StringIO):
        def isatty(self):
            return is_terminal

    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    queue = CellQueue(Grid(randomizations=(0.0,), sparsities=(), seeds=(1,)).cells())
    display = open_display(SweepProgress(queue, 1, {"train": 1.0, "prune": 1.0}), Stream())
    assert type(display) is kind
    display.close()
