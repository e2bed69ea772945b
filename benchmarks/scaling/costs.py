"""What things cost, each with its source: read from costs.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

COSTS_FILE = Path(__file__).with_name("costs.json")


class Line(NamedTuple):
    """A cost of K networks that are trained together: `fixed + each * K`."""

    fixed: float
    each: float

    def of(self, num_networks: int) -> float:
        """The cost of that many."""
        return self.fixed + self.each * num_networks


class ByPhase(NamedTuple):
    """A number for a training and one for a pruning."""

    train: float
    prune: float

    def of(self, phase: str) -> float:
        """By the name of the phase."""
        return self.train if phase == "train" else self.prune


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of one kind of machine and recipe; times in seconds, sizes in bytes.

    Attributes:
        num_steps: of a cell.
        train_step: of a stack of K trainings.
        prune_step: of a stack of K prunings.
        setup: of a trial of K cells, before its first step.
        finish: of a trial of K cells, after its last step: evaluation, and files apart from `s3_*`.
        process_start: from a free slot to a process that has imported everything; once per process.
        turnaround: a slot's idle time between trials besides the driver's work.
        driver_trial: the driver's work for a trial from suggestion to end.
        driver_report: its work for a trial's sign of life.
        driver_beat_per_cell: its work per cell of the sweep for a heartbeat.
        report_every: time between signs of life of a trial.
        beat_every: time between heartbeats.
        poll_every: time between a trial's looks for a request to stop.
        checkpoint_every: time between checkpoints.
        lookup_requests: reads of a cell before its first step.
        finish_requests: writes of a cell besides its checkpoints.
        checkpoint_requests: writes and deletions of one checkpoint.
        poll_requests: reads of one look for a request to stop.
        final_bytes: of a finished cell.
        checkpoint_bytes: of one checkpoint.
        s3_latency: of a request.
        s3_bytes_per_second: of one client.
        s3_reads_per_second: limit of the service, per prefix.
        s3_writes_per_second: the same.
        data_bytes: of the data set in the object store.
        head_bytes_per_second: of the head's network, from which every node gets the data set.
        loss_detection: from a node's death to the driver's knowing.
        node_start: from the autoscaler's wish to a node that has joined.
        max_retries: of a trial.
        driver_bytes_per_cell: growth of the driver's memory.
    """

    num_steps: ByPhase
    train_step: Line
    prune_step: Line
    setup: Line
    finish: Line
    process_start: float
    turnaround: float
    driver_trial: float
    driver_report: float
    driver_beat_per_cell: float
    report_every: float
    beat_every: float
    poll_every: float
    checkpoint_every: float
    lookup_requests: ByPhase
    finish_requests: ByPhase
    checkpoint_requests: ByPhase
    poll_requests: float
    final_bytes: ByPhase
    checkpoint_bytes: ByPhase
    s3_latency: float
    s3_bytes_per_second: float
    s3_reads_per_second: float
    s3_writes_per_second: float
    data_bytes: float
    head_bytes_per_second: float
    loss_detection: float
    node_start: float
    max_retries: int
    driver_bytes_per_cell: float

    def step_seconds(self, phase: str, num_networks: int) -> float:
        """Time of all steps of a stack."""
        step = self.train_step if phase == "train" else self.prune_step
        return self.num_steps.of(phase) * step.of(num_networks)


_KINDS = {"Line": Line, "ByPhase": ByPhase}


def costs_from_dict(entries: Mapping[str, Mapping[str, Any]]) -> Costs:
    """Costs from `{name: {"value": number or pair, "source": text}}`.

    Raises:
        ValueError: a cost is missing, unknown or without a source.
    """
    fields = {field.name: field for field in dataclasses.fields(Costs)}
    if entries.keys() != fields.keys():
        wrong = sorted(entries.keys() ^ fields.keys())
        raise ValueError(f"costs: {', '.join(wrong)} missing or unknown; known are {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if not str(entry.get("source", "")).strip():
            raise ValueError(f"costs: {name} has no source; say which command measured it, or 'assumption'")
        kind = _KINDS.get(str(fields[name].type))
        value = entry["value"]
        values[name] = kind(*map(float, value)) if kind else value
    return Costs(**values)


def read_profiles(path: Path = COSTS_FILE) -> dict[str, dict[str, dict[str, Any]]]:
    """The profiles of the file by name, each with values, units and sources as they stand there."""
    profiles: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text())
    return profiles


def read_costs(profile: str, path: Path = COSTS_FILE) -> Costs:
    """One profile of the file.

    Raises:
        ValueError: no such profile, or as of `costs_from_dict`.
    """
    profiles = read_profiles(path)
    if profile not in profiles:
        raise ValueError(f"profile = {profile!r}: must be one of {', '.join(profiles)}")
    return costs_from_dict(profiles[profile])
