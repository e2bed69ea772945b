"""Slots over time."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Exhibit, ExhibitKind, Table, no_controls
from analysis.experiment_data import ExperimentData
from analysis.figures.slots import SlotsInfo, caption, get_slots_info, plot_slots


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """All attempts of an experiment in their slots."""
    info = get_slots_info(data.attempts())
    return Exhibit(plot_slots(info), caption(info), table(info), min_width_px=760)


def table(info: SlotsInfo) -> Table:
    """One row an attempt; times in seconds since its run's first start."""
    header = ("run", "cell", "host", "slot", "stack", "outcome", "attempt", "of", "start (s)", "end (s)")
    rows: list[tuple[object, ...]] = [
        (
            number + 1,
            attempt.cell_id,
            *run.slots[bar.slot],
            attempt.stack,
            attempt.outcome,
            attempt.number,
            attempt.num_attempts,
            attempt.started - run.started,
            None if attempt.ended is None else attempt.ended - run.started,
        )
        for number, run in enumerate(info.runs)
        for bar in run.bars
        for attempt in bar.attempts
    ]
    return Table("attempts", header, rows, num_label_columns=6)


SLOTS = ExhibitKind(name="slots", title="Slots over time", controls=no_controls, draw=draw)
