"""Ray Tune's view of the cell queue: a searcher that suggests a stack of cells when some may start.

Ray Tune has no dependencies between trials (ray#23654). A searcher may answer "not now", and that is enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator

from rc_core.cells import cell_to_dict
from tune_experiments.queue import READY, WAITING, CellQueue


class _Stack(NamedTuple):
    """A trial under way: its cells, when it was asked for, and what it said last of how far it is."""

    phase: str
    num_cells: int
    began_seconds: float
    reported_seconds: float
    done: float  # share of its steps at that time, [0, 1]

    def num_left(self, now_seconds: float) -> float:
        """Its cells times the share of their steps that are likely still to be done."""
        if not self.done:
            return float(self.num_cells)
        rate = self.done / (self.reported_seconds - self.began_seconds)
        return self.num_cells * max(0.0, 1.0 - rate * (now_seconds - self.began_seconds))


class CellSearcher(Searcher):
    """Suggests ready cells. Results do not come back this way: the callback tells the queue.

    Args:
        queue: the sweep's cells.
        stack: cells that are trained together at most.
        num_slots: trials that run at a time; the work is spread over them so that they end together.
        clock: seconds from some fixed time on.
    """

    def __init__(
        self,
        queue: CellQueue,
        *,
        stack: int = 1,
        num_slots: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.queue, self._stack, self._num_slots, self._clock = queue, stack, num_slots, clock
        self._running: dict[str, _Stack] = {}

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Tell the limiter that the bound is kept here: it only has to be in the chain.

        Without a limiter Tune keeps a single trial pending, and a cluster grows one node at a time.
        """
        self.max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A trial's config, None for "not now", or `Searcher.FINISHED`."""
        if self.queue.exhausted:
            return str(Searcher.FINISHED)
        if self.queue.num_stacks >= self.max_concurrent:
            return None
        phase = self.queue.next_phase
        cells = self.queue.take(self._fair_share(phase) if phase else 1)
        if not cells:
            # "Not now" with nothing running would block Tune's controller for ever.
            if self.queue.num_stacks == 0:
                raise RuntimeError("cells wait, none runs and none may start: please report this")
            return None
        now = self._clock()
        self._running[trial_id] = _Stack(cells[0].phase, len(cells), now, now, 0.0)
        return {"cells": [cell_to_dict(cell) for cell in cells]}

    def _fair_share(self, phase: str) -> int:
        """Cells of a phase that a free slot takes: its part of all that is left, in stacks of equal size.

        What is left includes the rest of what runs, and prunings that still wait for their parents.
        """
        now = self._clock()
        running = sum(stack.num_left(now) for stack in self._running.values() if stack.phase == phase)
        left = self.queue.count(READY, phase) + self.queue.count(WAITING, phase) + running
        share = max(1.0, left / self._num_slots)
        return math.ceil(share / math.ceil(share / self._stack))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note how far a trial is (`trainables.ProgressReport`)."""
        stack, now = self._running.get(trial_id), self._clock()
        if stack is not None and "step" in result and now > stack.began_seconds:
            done = result["step"] / result["num_steps"]
            self._running[trial_id] = stack._replace(reported_seconds=now, done=done)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Forget the trial; what became of its cells the callback tells the queue."""
        self._running.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep is never restored from Tune's state, but planned anew from storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""


class CellSearch(SearchGenerator):
    """The search algorithm of a sweep: ends when the queue is exhausted, not after a number of samples."""

    def __init__(self, queue: CellQueue, max_concurrent: int, *, stack: int = 1, num_slots: int = 1) -> None:
        searcher = CellSearcher(queue, stack=stack, num_slots=num_slots)
        super().__init__(ConcurrencyLimiter(searcher, max_concurrent))
        self._queue = queue

    @property
    def total_samples(self) -> int:
        """Cells that this sweep could start."""
        return len(self._queue.cells)

    def is_finished(self) -> bool:
        """Whether no further trial will come."""
        return self._queue.exhausted or self._finished

    def set_finished(self) -> None:
        """Called by Tune on an early end (stopper, Ctrl-C)."""
        self._finished = True
