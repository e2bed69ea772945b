"""The hook that writes checkpoints while a cell runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rc_core.checkpoints import checkpoint_name, delete_checkpoints, save_checkpoint
from rc_core.storage import Storage
from rc_core.training import Phase


class CellInterrupted(Exception):  # noqa: N818 (it is no error)
    """The cell was asked to stop and wrote a checkpoint; running it again goes on from there."""


class Checkpointer:
    """Hook that writes a checkpoint now and then, and one more when the cell is asked to stop.

    Args:
        folder: the cell's folder.
        described: what every checkpoint's JSON says of the cell.
        every_seconds: time between checkpoints.
        keep_newest: how many stay.
        should_stop: asked after every step.
        zero_seconds: `perf_counter` time at which the cell would have begun, had it never been interrupted.
        say: takes a line for the log.
    """

    def __init__(
        self,
        folder: Storage,
        described: dict[str, Any],
        *,
        every_seconds: float,
        keep_newest: int,
        should_stop: Callable[[], bool],
        zero_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._described = folder, described
        self._every_seconds, self._keep_newest, self._should_stop = every_seconds, keep_newest, should_stop
        self._zero_seconds, self._say = zero_seconds, say
        self._last_seconds = time.perf_counter()

    @property
    def wall_seconds(self) -> float:
        """Time spent on the cell, earlier attempts included as far as they left a checkpoint."""
        return time.perf_counter() - self._zero_seconds

    def __call__(self, phase: Phase) -> None:
        """See `rc_core.training.Hook`."""
        if phase.step == phase.num_steps:
            return
        stop = self._should_stop()
        due = time.perf_counter() - self._last_seconds >= self._every_seconds
        if stop or due:
            self.save(phase)
        if stop:
            self._say(f"stopped at step {phase.step} of {phase.num_steps}, checkpoint written")
            raise CellInterrupted(f"asked to stop at step {phase.step} of {phase.num_steps}")

    def save(self, phase: Phase) -> None:
        """Write a checkpoint and delete those that are no longer kept."""
        meta = {"history": phase.history.columns, "wall_seconds": self.wall_seconds}
        save_checkpoint(
            self._folder.folder(checkpoint_name(phase.step)),
            phase.step,
            phase.tensors(),
            self._described | meta,
        )
        delete_checkpoints(self._folder, keep_newest=self._keep_newest)
        self._last_seconds = time.perf_counter()
