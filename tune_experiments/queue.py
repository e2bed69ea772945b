"""Which cell may start next: a pruning is released by its own parent, and by nothing else.

No Ray in here: the search algorithm (searcher.py) asks, the callback (sweep.py) tells.
"""

from __future__ import annotations

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

    Attributes:
        states: cell id -> state.
        errors: cell id -> why it failed.
    """

    def __init__(self, cells: Iterable[Cell], finished: Iterable[str] = ()) -> None:
        finished_ids = set(finished)
        self.cells = {cell.cell_id: cell for cell in cells}
        self.states: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self._children: dict[str, list[str]] = {}
        for cell_id, cell in self.cells.items():
            if cell_id in finished_ids:
                self.states[cell_id] = DONE
            elif cell.parent is None or cell.parent.cell_id in finished_ids:
                self.states[cell_id] = READY
            elif cell.parent.cell_id in self.cells:
                self.states[cell_id] = WAITING
            else:
                raise ValueError(
                    f"{cell_id}: its parent {cell.parent.cell_id} is neither finished nor planned"
                )
            if cell.parent is not None:
                self._children.setdefault(cell.parent.cell_id, []).append(cell_id)

    def take(self) -> Cell | None:
        """The next cell that may start, now running; None where there is none at the moment."""
        for cell_id, state in self.states.items():
            if state == READY:
                self.states[cell_id] = RUNNING
                return self.cells[cell_id]
        return None

    def finish(self, cell_id: str) -> None:
        """A cell is done; its children may start."""
        self.states[cell_id] = DONE
        for child in self._children.get(cell_id, ()):
            if self.states[child] == WAITING:
                self.states[child] = READY

    def fail(self, cell_id: str, error: str) -> None:
        """A cell failed for good; its children never start."""
        self.states[cell_id] = FAILED
        self.errors[cell_id] = error
        for child in self._children.get(cell_id, ()):
            if self.states[child] == WAITING:
                self.states[child] = PARENT_FAILED
                self.errors[child] = f"{cell_id}: {error}"

    def count(self, state: str) -> int:
        """Number of cells in a state."""
        return sum(other == state for other in self.states.values())

    def running(self) -> list[str]:
        """Ids of the cells that run."""
        return [cell_id for cell_id, state in self.states.items() if state == RUNNING]

    @property
    def exhausted(self) -> bool:
        """Whether no cell is left that could start, now or later."""
        return not any(state in (WAITING, READY) for state in self.states.values())
