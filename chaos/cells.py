"""Which cells of an experiment run and which are finished, as far as their folders tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from chaos.driver import process_is_running
from rc_core.checkpoints import META_FILE, checkpoint_name, checkpoint_steps
from rc_core.experiment import ATTEMPTS_FILE, FAILURE_FILE, DamagedFileError, read_json, read_record
from rc_core.provenance import unix_seconds
from rc_core.storage import LocalStorage


class RunningCell(NamedTuple):
    """A cell whose process lives.

    Attributes:
        folder: its folder.
        pid: of the process that works on it.
    """

    folder: Path
    pid: int


def cell_folders(experiment: Path) -> list[Path]:
    """The folders of the cells that were begun, sorted."""
    return sorted(
        path for pattern in ("train-*", "prune-*") for path in experiment.glob(pattern) if path.is_dir()
    )


def finished_cells(experiment: Path) -> list[Path]:
    """Folders of the cells with a readable record."""
    return [folder for folder in cell_folders(experiment) if read_record(LocalStorage(folder)) is not None]


def attempts(folder: Path) -> list[dict[str, Any]]:
    """Every attempt at a cell; none where the file is missing or damaged."""
    try:
        content = read_json(LocalStorage(folder), ATTEMPTS_FILE)
    except DamagedFileError:
        return []
    return list(content.get("attempts", ())) if content else []


def running_cells(experiment: Path, since_seconds: float) -> list[RunningCell]:
    """Cells that a living process works on.

    Args:
        experiment: its folder.
        since_seconds: Unix time; attempts that began before do not count, e.g. those of an earlier driver.
    """
    newest: dict[int, float] = {}
    begun: list[tuple[Path, dict[str, Any]]] = []
    for folder in cell_folders(experiment):
        if not (tried := attempts(folder)):
            continue
        started_seconds, pid = unix_seconds(tried[-1]["started"]), tried[-1]["pid"]
        if started_seconds >= since_seconds and process_is_running(pid):
            newest[pid] = max(newest.get(pid, 0.0), started_seconds)
            begun.append((folder, tried[-1]))
    # A process works on the cells that it began last: one, or those of one stack.
    stacks = {
        attempt["stack"]
        for _, attempt in begun
        if "stack" in attempt and unix_seconds(attempt["started"]) == newest[attempt["pid"]]
    }
    return [
        RunningCell(folder, attempt["pid"])
        for folder, attempt in begun
        if (unix_seconds(attempt["started"]) == newest[attempt["pid"]] or attempt.get("stack") in stacks)
        and read_record(LocalStorage(folder)) is None
        and not (folder / FAILURE_FILE).exists()
    ]


def whole_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a cell, newest first."""
    steps = checkpoint_steps(LocalStorage(folder))
    paths = [folder / checkpoint_name(step) for step in steps]
    return [path for path in paths if (path / META_FILE).exists()]
