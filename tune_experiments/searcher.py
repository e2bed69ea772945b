"""Ray Tune's view of the cell queue: a searcher that suggests a stack of cells when some may start.

Ray Tune has no dependencies between trials (ray#23654). A searcher may answer "not now", and that is enough.
"""

from __future__ import annotations

import math
from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator

from rc_core.cells import cell_to_dict
from tune_experiments.queue import READY, RUNNING, CellQueue


class CellSearcher(Searcher):
    """Suggests ready cells. Results do not come back this way: the callback tells the queue.

    Args:
        queue: the sweep's cells.
        stack: cells that are trained together at most.
        num_slots: trials that run at a time; what is ready is spread over them.
    """

    def __init__(self, queue: CellQueue, *, stack: int = 1, num_slots: int = 1) -> None:
        super().__init__()
        self.queue, self._stack, self._num_slots = queue, stack, num_slots

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
        cells = self.queue.take(max(1, min(self._stack, self._fair_share())))
        if not cells:
            # "Not now" with nothing running would block Tune's controller for ever.
            if self.queue.num_stacks == 0:
                raise RuntimeError("cells wait, none runs and none may start: please report this")
            return None
        return {"cells": [cell_to_dict(cell) for cell in cells]}

    def _fair_share(self) -> int:
        """This slot's part of the work at hand: what is ready, and half of what runs, as it is half done."""
        return math.ceil((self.queue.count(READY) + self.queue.count(RUNNING) / 2) / self._num_slots)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: see the class."""

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
