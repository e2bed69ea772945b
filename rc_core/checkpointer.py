"""The hook that writes checkpoints while a cell runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rc_core.training import Phase


class CellInterrupted(Exception):  # noqa: N818 (it is no error)
    """The cell was asked to stop and wrote a checkpoint; running it again goes on from there."""


class Savable(Protocol):
    """A cell of the phase that can write its own checkpoint."""

    def save(self) -> None:
        """Write a checkpoint and delete those that are no longer kept."""
        ...

    def say(self, line: str) -> None:
        """Add a line to the cell's log."""
        ...


class Checkpointer:
    """Hook that writes a checkpoint of every cell now and then, and one more when it is asked to stop.

    Args:
        cells: what to save.
        every_seconds: time between checkpoints.
        should_stop: asked after every step.
    """

    def __init__(
        self, cells: Sequence[Savable], *, every_seconds: float, should_stop: Callable[[], bool]
    ) -> None:
        self._cells, self._every_seconds, self._should_stop = cells, every_seconds, should_stop
        self._last_seconds = time.perf_counter()

    def __call__(self, phase: Phase) -> None:
        """See `rc_core.training.Hook`."""
        if phase.step == phase.num_steps:
            return
        stop = self._should_stop()
        if stop or time.perf_counter() - self._last_seconds >= self._every_seconds:
            for cell in self._cells:
                cell.save()
            self._last_seconds = time.perf_counter()
        if stop:
            for cell in self._cells:
                cell.say(f"stopped at step {phase.step} of {phase.num_steps}, checkpoint written")
            raise CellInterrupted(f"asked to stop at step {phase.step} of {phase.num_steps}")
