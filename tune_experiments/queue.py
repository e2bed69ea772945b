"""Which cell may start next: a pruning is released by its own parent, and by nothing else.

No Ray in here: the search algorithm (searcher.py) asks, the callback (callback.py) tells.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from rc_core.cells import Cell

WAITING, READY, RUNNING, DONE, FAILED, PARENT_FAILED = (
    "waiting",
    "ready",
    "running",
    "done",
    "failed",
    "parent-failed",
)


class CellQueue:
    """States of the cells of one sweep.

    Cells start in the order given, so parents should stand first: they have the longest path before them.
    Every call takes O(log n) for n cells.

    Attributes:
        cells: id -> cell.
        states: id -> state.
        errors: id -> why it failed.
        stopped: whether no further cell may start, whatever its state.
        num_stacks: stacks that were taken and have not come back.
    """

    def __init__(self, cells: Iterable[Cell], finished: Iterable[str] = ()) -> None:
        finished_ids = set(finished)
        self.cells = {cell.cell_id: cell for cell in cells}
        self.states: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.stopped = False
        self.num_stacks = 0
        self._alone: set[str] = set()
        self._order = {cell_id: index for index, cell_id in enumerate(self.cells)}
        self._ready: list[tuple[int, str]] = []
        self._running: dict[str, None] = {}  # a set in order of start
        self._counts: Counter[tuple[str, str]] = Counter()  # by state and phase
        self._children: dict[str, list[str]] = {}
        for cell_id, cell in self.cells.items():
            if cell.parent is not None:
                self._children.setdefault(cell.parent.cell_id, []).append(cell_id)
            if cell_id in finished_ids:
                self._set(cell_id, DONE)
            elif cell.parent is None or cell.parent.cell_id in finished_ids:
                self._set(cell_id, READY)
            elif cell.parent.cell_id in self.cells:
                self._set(cell_id, WAITING)
            else:
                raise ValueError(
                    f"{cell_id}: its parent {cell.parent.cell_id} is neither finished nor planned"
                )

    def _set(self, cell_id: str, state: str) -> None:
        old, phase = self.states.get(cell_id), self.cells[cell_id].phase
        if old is not None:
            self._counts[old, phase] -= 1
        if old == RUNNING:
            del self._running[cell_id]
        self.states[cell_id] = state
        self._counts[state, phase] += 1
        if state == RUNNING:
            self._running[cell_id] = None
        elif state == READY:
            heapq.heappush(self._ready, (self._order[cell_id], cell_id))

    def take(self, limit: int = 1) -> list[Cell]:
        """The next cells that may start, now running; none where there are none at the moment.

        Args:
            limit: take no more than these; all of a stack are trainings, or all prunings.
        """
        stack: list[Cell] = []
        while self._ready and not self.stopped and len(stack) < limit:
            cell = self.cells[self._ready[0][1]]
            if stack and (cell.phase != stack[0].phase or cell.cell_id in self._alone):
                break
            heapq.heappop(self._ready)
            self._set(cell.cell_id, RUNNING)
            stack.append(cell)
            if cell.cell_id in self._alone:
                break
        self.num_stacks += bool(stack)
        return stack

    def end_stack(self) -> None:
        """A stack came back, whatever became of its cells."""
        self.num_stacks -= 1

    def finish(self, cell_id: str) -> None:
        """A cell is done; its children may start."""
        self._set(cell_id, DONE)
        for child in self._children.get(cell_id, ()):
            if self.states[child] == WAITING:
                self._set(child, READY)

    def fail(self, cell_id: str, error: str) -> None:
        """A cell failed for good; its children never start."""
        self._set(cell_id, FAILED)
        self.errors[cell_id] = error
        for child in self._children.get(cell_id, ()):
            if self.states[child] == WAITING:
                self._set(child, PARENT_FAILED)
                self.errors[child] = f"{cell_id}: {error}"

    def give_back(self, cell_id: str, *, alone: bool = False) -> None:
        """A running cell was interrupted: it could start again; `alone`: from now on never in a stack."""
        if alone:
            self._alone.add(cell_id)
        self._set(cell_id, READY)

    def stop(self) -> None:
        """Let no further cell start."""
        self.stopped = True

    def count(self, state: str, phase: str | None = None) -> int:
        """Number of cells in a state, of one phase or of both."""
        return sum(
            number
            for (counted, counted_phase), number in self._counts.items()
            if counted == state and phase in (None, counted_phase)
        )

    @property
    def next_phase(self) -> str | None:
        """Phase of the cell that `take` would give first; None where there is none."""
        return self.cells[self._ready[0][1]].phase if self._ready else None

    def running(self) -> list[str]:
        """Ids of the cells that run, in order of start."""
        return list(self._running)

    @property
    def exhausted(self) -> bool:
        """Whether no cell is left that could start, now or later."""
        return self.stopped or self.count(WAITING) + self.count(READY) == 0
