"""What a user sees while a sweep runs: a live region on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

from rc_core.cells import Cell
from rc_core.durations import format_seconds
from tune_experiments.queue import DONE, FAILED, PARENT_FAILED, READY, WAITING, CellQueue

if TYPE_CHECKING:
    from rc_core.training import NetworkPhase

NUM_RECENT_CELLS = 6
PLAIN_SUMMARY_SECONDS = 30.0


class SweepProgress:
    """Counts, ETA and the last finished cells of a running sweep; knows nothing of terminals.

    Attributes:
        in_trial_seconds: sum of the finished cells' own wall times; of a stack, each has its share.

    Args:
        queue: the sweep's cells.
        num_slots: trials that can run at a time.
        cell_seconds: estimated slot time of a cell by phase, until finished cells say better.
    """

    def __init__(self, queue: CellQueue, num_slots: int, cell_seconds: dict[str, float]) -> None:
        self.queue = queue
        self.num_slots = num_slots
        self.started_seconds = time.monotonic()
        self.recent: deque[str] = deque(maxlen=NUM_RECENT_CELLS)
        self.in_trial_seconds = 0.0
        self._estimates = cell_seconds
        self._spent: dict[str, list[float]] = {"train": [], "prune": []}
        self._start_seconds: dict[str, float] = {}
        self._stack: dict[str, int] = {}

    def cell_started(self, cell: Cell, stack: int = 1) -> None:
        """A cell's trial got its slot; `stack` cells share it."""
        self._start_seconds[cell.cell_id] = time.monotonic()
        self._stack[cell.cell_id] = stack

    def cell_finished(self, cell: Cell, result: dict[str, Any]) -> str:
        """A cell is done; returns the line that says so."""
        self.in_trial_seconds += result["wall_seconds"]
        self._spent[cell.phase].append(result["wall_seconds"])
        self._start_seconds.pop(cell.cell_id, None)
        sparsity = f"  sparsity {result['sparsity']:.3f}" if cell.phase == "prune" else ""
        line = (
            f"done    {cell.cell_id:<32} train accuracy {result['train_accuracy']:.4f}  "
            f"test {result['test_accuracy']:.4f}{sparsity}  ({result['wall_seconds']:.1f} s)"
        )
        self.recent.append(line)
        return line

    def cell_stopped(self, cell: Cell) -> str:
        """A cell wrote a checkpoint and stopped; returns the line that says so."""
        self._start_seconds.pop(cell.cell_id, None)
        line = f"stopped {cell.cell_id:<32} checkpoint written"
        self.recent.append(line)
        return line

    def trial_restarted(self, trial: str, tries: tuple[int, int] | None) -> str:
        """A trial that had a slot before has one again; returns the line that says so.

        Args:
            trial: its name.
            tries: the number of this one and how many there may be; None where Ray took the node away in
                order, which counts as none.
        """
        if tries is None:
            line = f"moved   {trial:<32} its node was drained; not counted as a failure"
        else:
            line = f"again   {trial:<32} its process died; try {tries[0]} of {tries[1]}"
        self.recent.append(line)
        return line

    def cell_isolated(self, cell: Cell) -> str:
        """The cell's stack failed, perhaps through another cell; returns the line that says so."""
        self._start_seconds.pop(cell.cell_id, None)
        line = f"again   {cell.cell_id:<32} its stack failed; it is tried alone"
        self.recent.append(line)
        return line

    def cell_failed(self, cell: Cell, error: str) -> str:
        """A cell failed for good; returns the line that says so."""
        self._start_seconds.pop(cell.cell_id, None)
        line = f"FAILED  {cell.cell_id:<32} {error}"
        self.recent.append(line)
        return line

    def eta_seconds(self) -> float:
        """Estimated seconds until the last cell is done: work left, spread over the slots.

        A phase of which no cell is done is taken to miss its estimate as far as the other did.
        """
        estimated = sum(self._estimates[phase] * len(spent) for phase, spent in self._spent.items())
        pace = self.in_trial_seconds / estimated if estimated else 1.0
        mean = {
            phase: sum(spent) / len(spent) if spent else pace * self._estimates[phase]
            for phase, spent in self._spent.items()
        }
        now = time.monotonic()
        work = 0.0
        for cell_id, state in list(self.queue.states.items()):
            phase = self.queue.cells[cell_id].phase
            if cell_id in self._start_seconds:
                spent = (now - self._start_seconds[cell_id]) / self._stack[cell_id]
                work += max(0.0, mean[phase] - spent)
            elif state not in (DONE, FAILED, PARENT_FAILED):
                work += mean[phase]
        return work / self.num_slots

    def summary(self) -> str:
        """One line: counts, time spent, ETA."""
        queue = self.queue
        running = len(self._start_seconds)
        failed = queue.count(FAILED) + queue.count(PARENT_FAILED)
        waiting = len(queue.running()) - running + queue.count(READY) + queue.count(WAITING)
        spent = format_seconds(time.monotonic() - self.started_seconds)
        return (
            f"{queue.count(DONE)}/{len(queue.cells)} done, {running} running, {failed} failed, "
            f"{waiting} waiting; {spent} spent, about {format_seconds(self.eta_seconds())} left"
        )

    def running_ids(self) -> list[str]:
        """Ids of the cells that have a slot."""
        return list(self._start_seconds)

    def running_lines(self) -> list[str]:
        """One line for each running cell."""
        now = time.monotonic()
        return [
            f"runs    {cell_id:<32} for {format_seconds(now - start)}"
            for cell_id, start in list(self._start_seconds.items())
        ]


class PlainDisplay:
    """Lines for logs and pipes: every finished cell, and a summary now and then."""

    def __init__(self, progress: SweepProgress, stream: TextIO) -> None:
        self._progress, self._stream = progress, stream
        self._next_summary_seconds = time.monotonic() + PLAIN_SUMMARY_SECONDS

    def event(self, line: str) -> None:
        """Show one line."""
        print(line, file=self._stream, flush=True)

    def refresh(self) -> None:
        """Called every second or so."""
        if time.monotonic() >= self._next_summary_seconds:
            self._next_summary_seconds = time.monotonic() + PLAIN_SUMMARY_SECONDS
            self.event(self._progress.summary())

    def close(self) -> None:
        """The sweep has ended."""
        self.event(self._progress.summary())


class LiveDisplay:
    """A region of the terminal that is redrawn in place."""

    def __init__(self, progress: SweepProgress, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._live = Live(console=Console(file=stream), auto_refresh=False, transient=False)
        self._live.start()

    def event(self, line: str) -> None:
        """Redraw; a line that is not of a cell, and so not among the recent ones, goes above the region."""
        if line not in self._progress.recent:
            self._live.console.print(line, highlight=False, markup=False)
        self.refresh()

    def refresh(self) -> None:
        """Redraw."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        progress = self._progress
        bar = ProgressBar(total=len(progress.queue.cells), completed=progress.queue.count(DONE), width=60)
        lines = [*progress.recent, *progress.running_lines(), progress.summary()]
        self._live.update(Group(*(Text(line) for line in lines), bar), refresh=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self.refresh()
        self._live.stop()


def open_display(progress: SweepProgress, stream: TextIO = sys.stdout) -> PlainDisplay | LiveDisplay:
    """The live region where the output is a terminal that can redraw, else plain lines."""
    can_redraw = stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return LiveDisplay(progress, stream) if can_redraw else PlainDisplay(progress, stream)


class StepProgress:
    """Hook for a single cell: step, loss, accuracy and time left, one line in place on a terminal."""

    def __init__(self, cell_id: str, stream: TextIO) -> None:
        self._cell_id, self._stream = cell_id, stream
        self._in_place = stream.isatty()
        self._start: tuple[float, int] | None = None
        self._every_seconds = 0.5 if self._in_place else PLAIN_SUMMARY_SECONDS
        self._next_seconds = time.monotonic() + self._every_seconds

    def __call__(self, phase: NetworkPhase) -> None:
        """See `rc_core.training.Hook`."""
        now = time.monotonic()
        if self._start is None:
            self._start = (now, phase.step)
        if phase.step < phase.num_steps and now < self._next_seconds:
            return
        self._next_seconds = now + self._every_seconds
        start_seconds, start_step = self._start
        seconds_per_step = (now - start_seconds) / max(1, phase.step - start_step)
        columns = phase.histories[0].columns
        figures = (
            f"  loss {columns['train_loss'][-1]:.4f}  accuracy {columns['train_accuracy'][-1]:.4f}"
            if columns
            else ""
        )
        left = format_seconds(seconds_per_step * (phase.num_steps - phase.step))
        line = f"{self._cell_id}: step {phase.step}/{phase.num_steps}{figures}  {left} left"
        if self._in_place:
            end = "\n" if phase.step == phase.num_steps else ""
            print(f"\r\x1b[K{line}", end=end, file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)
