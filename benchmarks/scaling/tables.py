"""The tables of docs/scaling.md from docs/results/scaling.json."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scaling.cluster import DRIVER, NO_CELL, REDONE, SETUP, START, STEPS, STORAGE
from benchmarks.table import conditions_table, format_table

_HEADER = (
    "hours",
    "utilisation",
    "cells/s",
    "driver's load",
    "driver's memory, GB",
    "S3 reads/s, writes/s (peak)",
    "S3 GB",
    "most of the rest",
)
_SHORT = {
    REDONE: "steps done again",
    SETUP: "set-up, evaluation",
    STORAGE: "S3",
    DRIVER: "driver",
    START: "start",
    NO_CELL: "no cell ready",
}


def largest_loss(slot_seconds: Mapping[str, float]) -> str:
    """What takes most of the slots' time besides steps, with its share."""
    total_seconds = sum(slot_seconds.values())
    kind = max((kind for kind in slot_seconds if kind != STEPS), key=lambda kind: slot_seconds[kind])
    return f"{_SHORT.get(kind, kind)} {slot_seconds[kind] / total_seconds:.2f}"


def row(entry: Mapping[str, Any], driver_bytes_per_cell: float) -> tuple[str, ...]:
    """A simulation as a row."""
    outcome = entry["outcome"]
    seconds, peak = outcome["makespan_seconds"], outcome["peak_requests_per_second"]
    num_cells = sum(outcome["num_cells"].values())
    utilisation = outcome["slot_seconds"][STEPS] / outcome["gpu_seconds"]
    return (
        entry["name"],
        f"{seconds / 3600:,.2f}",
        f"{utilisation:.2f}",
        f"{num_cells / seconds:.2f}",
        f"{outcome['driver_load']:.2f}",
        f"{num_cells * driver_bytes_per_cell / 1e9:.2g}",
        f"{peak['read']:,.0f}, {peak['write']:,.0f}",
        f"{sum(outcome['bytes'].values()) / 1e9:,.1f}",
        largest_loss(outcome["slot_seconds"]),
    )


def _title(table: str) -> str:
    return {
        "size": "sweep and cluster",
        "losses": "losses of a GPU",
        "settings": "10,020 cells, 512 GPUs",
        "beyond": "100,020 cells",
        "empty": "10,020 cells, at most 512 GPUs",
    }[table]


def losses_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """What losses cost."""
    rows = []
    for entry in entries:
        outcome = entry["outcome"]
        again = outcome["slot_seconds"][REDONE] / sum(outcome["slot_seconds"].values())
        ends, cluster = outcome["num_cells"], entry["cluster"]
        node_hours = outcome["gpu_seconds"] / 3600 / cluster["gpus_per_node"]
        rows.append(
            (
                entry["name"],
                f"{outcome['makespan_seconds'] / 3600:.2f}",
                f"{outcome['num_losses']}",
                f"{cluster['losses_per_gpu_hour'] * node_hours:.1f}",
                f"{again:.4f}",
                f"{ends['failed']}, {ends['parent-failed']}",
            )
        )
    header = (
        _title("losses"),
        "hours",
        "nodes lost",
        "expected",
        "steps done again",
        "failed, parent-failed",
    )
    return format_table(header, rows)


def check_table(check: Mapping[str, Any]) -> str:
    """A prediction beside what was measured."""
    measured = check["measured_seconds"]
    median_seconds = statistics.median(measured)
    load = check["conditions"]
    row = (
        load["date"][:16].replace("T", " "),
        f"{check['predicted_seconds']:.1f}",
        f"{median_seconds:.1f} ({min(measured):.1f} to {max(measured):.1f})",
        f"{check['predicted_seconds'] / median_seconds - 1:+.2f}",
        f"{load['load_before'][0]:g}, {load['load_after'][0]:g}",
    )
    title = f"`rcsweep run digits`, 2 slots (n = {len(measured)})"
    return format_table((title, "predicted s", "measured s", "error", "load before, after"), [row])


def costs_table(profile: Mapping[str, Mapping[str, Any]]) -> str:
    """Every cost with its source."""
    rows = [
        (f"`{name}`", _value(entry["value"]), entry["unit"], entry["source"])
        for name, entry in profile.items()
    ]
    return format_table(("cost", "value", "unit", "source"), rows)


def _value(value: Any) -> str:
    return ", ".join(f"{each:,.10g}" for each in value) if isinstance(value, list) else f"{value:,.10g}"


def all_tables(sections: Mapping[str, Any]) -> dict[str, str]:
    """Every table by the name that markers use."""
    simulated = sections["simulations"]
    by_table: dict[str, list[Mapping[str, Any]]] = {}
    for entry in simulated["scenarios"]:
        by_table.setdefault(entry["table"], []).append(entry)
    per_cell = simulated["costs"]["driver_bytes_per_cell"]["value"]
    tables = {
        name: format_table((_title(name), *_HEADER), [row(entry, per_cell) for entry in entries])
        for name, entries in by_table.items()
        if name != "losses"
    }
    tables["losses"] = losses_table(by_table["losses"])
    tables["costs"] = costs_table(simulated["costs"])
    tables["conditions"] = conditions_table({"simulations": simulated})
    if "check" in sections:
        tables["check"] = check_table(sections["check"])
    return tables
