"""`rcsweep run` and `retry` from plan to report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from rc_core.cells import Cell, Grid
from rc_core.durations import format_seconds
from rc_core.recipes import Preset
from rc_core.storage import Storage
from tune_experiments import ray_environment
from tune_experiments.commands.options import EXIT_CELLS_FAILED, EXIT_COMPLETE, EXIT_INTERRUPTED
from tune_experiments.plan import make_plan
from tune_experiments.settings import SweepOutcome, SweepSettings

REPORT_FILE = "report.html"


def run_and_report(
    preset: Preset, cells: Sequence[Cell], grid: Grid | None, experiment: Storage, settings: SweepSettings
) -> int:
    """Say what will be done, do it, print the table, write the report; returns the exit code.

    Args:
        preset: recipe and step times.
        cells: what is wanted.
        grid: the grid that they are, if it is to be added to the sweep.
        experiment: the experiment's folder.
        settings: how to run.
    """
    plan = make_plan(preset, cells, experiment)
    if not plan.to_run:
        print(f"{experiment.location}: nothing to do, all {len(plan.finished)} cells are finished")
        _print_results(experiment)
        return EXIT_COMPLETE
    print(
        f"{experiment.location}: {len(plan.to_run)} cells to run, {len(plan.finished)} finished; "
        f"about {format_seconds(plan.device_seconds)} of device time ({plan.basis})",
        flush=True,
    )
    ray_environment.prepare(settings.address)
    from tune_experiments.sweep import run_sweep

    try:
        outcome = run_sweep(preset.recipe, grid, plan, experiment, settings)
    except KeyboardInterrupt:
        print("stopped at once; the same command resumes from the last checkpoints", file=sys.stderr)
        return EXIT_INTERRUPTED
    _print_outcome(outcome, experiment)
    try:
        _print_results(experiment)
    except OSError as error:
        print(f"the report could not be written: {error}", file=sys.stderr)
    if outcome.interrupted and outcome.num_left:
        return EXIT_INTERRUPTED
    return EXIT_CELLS_FAILED if outcome.errors or outcome.num_left else EXIT_COMPLETE


def _print_outcome(outcome: SweepOutcome, experiment: Storage) -> None:
    is_whole = not outcome.errors and not outcome.num_left
    overhead = f"; overhead {outcome.overhead_seconds_per_cell:.2f} s a cell" if is_whole else ""
    print(
        f"{outcome.num_done} cells in {format_seconds(outcome.sweep_seconds)} of sweep time on "
        f"{outcome.num_slots} slots{overhead}"
    )
    for cell_id, error in outcome.errors.items():
        print(f"FAILED  {cell_id}: {error}", file=sys.stderr)
    if outcome.errors:
        print(
            f"{len(outcome.errors)} cells failed; when the cause is mended: "
            f"rcsweep retry {experiment.location}",
            file=sys.stderr,
        )
    if outcome.num_left:
        print(f"{outcome.num_left} cells are left; the same command goes on with them", file=sys.stderr)


def _print_results(experiment: Storage) -> None:
    """Print the table and write the report beside the cells; loads pandas and plotly, but neither before."""
    from analysis import results
    from analysis.report import build_report
    from analysis.tables import format_summary

    print()
    print(format_summary(results.load(experiment)))
    experiment.write(REPORT_FILE, build_report(experiment).encode())
    print(f"\nreport: {experiment.folder(REPORT_FILE).location}")
    print(f"to look around: rcsweep dash {shlex.quote(experiment.location)}")
