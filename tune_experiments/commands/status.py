"""`rcsweep status`: where a sweep stands, once or again and again."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from rc_core.storage import Storage
from rc_core.watched_states import WatchedStates
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_CELLS_FAILED,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    Location,
    UsageError,
    find_experiment,
    print_json,
)
from tune_experiments.status import SweepStatus, read_status, summary_line, to_dict, to_lines

WATCH_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """Show the state of a sweep, from its storage alone: also while it runs, also from another machine."""

    experiment: Location
    """Name of the experiment, its folder, or its URI."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    watch: bool = False
    """Look again every 2 seconds until the sweep ends; Ctrl-C ends the watching, not the sweep."""
    json: bool = False
    """Print JSON with every cell."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        if self.watch and self.json:
            raise UsageError("--watch --json: choose one; a script can call 'status --json' again and again")
        experiment = find_experiment(self.experiment, self.storage, READER_PATIENCE_SECONDS)
        if self.watch:
            try:
                status = self._watch(experiment)
            except KeyboardInterrupt:
                return EXIT_COMPLETE
        else:
            status = read_status(experiment)
            if self.json:
                print_json(to_dict(status))
            else:
                print("\n".join(self._lines(status)))
        return EXIT_CELLS_FAILED if status.failures else EXIT_COMPLETE

    def _lines(self, status: SweepStatus) -> list[str]:
        words = [self.experiment]
        if self.storage != DEFAULT_STORAGE and "/" not in self.experiment:
            words += ["--storage", self.storage]
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return to_lines(status, shlex.join(words), width)

    def _watch(self, experiment: Storage) -> SweepStatus:
        if sys.stdout.isatty():
            try:
                from rich.live import Live
                from rich.text import Text
            except ModuleNotFoundError:
                pass  # rich comes with the sweep extra; plain lines do without
            else:
                with Live(auto_refresh=False) as live:
                    return follow(
                        experiment,
                        lambda status: live.update(Text("\n".join(self._lines(status))), refresh=True),
                    )
        status = follow(experiment, PlainLines())
        print("\n".join(self._lines(status)), flush=True)
        return status


class PlainLines:
    """Prints the counts whenever they change."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, status: SweepStatus) -> None:
        """Show a status."""
        line = summary_line(status)
        if line != self._last:
            print(line, flush=True)
        self._last = line


def follow(
    experiment: Storage,
    show: Callable[[SweepStatus], None],
    sleep: Callable[[float], None] = time.sleep,
) -> SweepStatus:
    """Show the status every `WATCH_SECONDS` until no driver lives; returns the last one.

    Finished cells are read once. An outage of the storage is waited out.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
    """
    watched = WatchedStates(experiment)
    status = read_status(experiment, watched)
    while True:
        show(status)
        if status.driver_state != "alive":
            return status
        sleep(WATCH_SECONDS)
        try:
            status = read_status(experiment, watched)
        except FileNotFoundError:
            raise
        except OSError as error:
            print(f"storage cannot be read, trying again: {error}", file=sys.stderr)
