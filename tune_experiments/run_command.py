"""`rcsweep run` from plan to report."""

from __future__ import annotations

import sys

from rc_core.cells import Grid
from rc_core.recipes import Preset
from rc_core.storage import Storage
from tune_experiments import ray_environment
from tune_experiments.commands.options import EXIT_CELLS_FAILED, EXIT_COMPLETE
from tune_experiments.plan import make_plan
from tune_experiments.progress import format_seconds
from tune_experiments.settings import SweepOutcome, SweepSettings

REPORT_FILE = "report.html"


def run_and_report(preset: Preset, grid: Grid, experiment: Storage, settings: SweepSettings) -> int:
    """Say what will be done, do it, print the table, write the report; returns the exit code."""
    plan = make_plan(preset, grid, experiment)
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

    outcome = run_sweep(preset, grid, plan, experiment, settings)
    _print_outcome(outcome)
    _print_results(experiment)
    return EXIT_CELLS_FAILED if outcome.errors or outcome.num_left else EXIT_COMPLETE


def _print_outcome(outcome: SweepOutcome) -> None:
    print(
        f"{outcome.num_done} cells in {format_seconds(outcome.sweep_seconds)} of sweep time on "
        f"{outcome.num_slots} slots; overhead {outcome.overhead_seconds_per_cell:.2f} s a cell"
    )
    for cell_id, error in outcome.errors.items():
        print(f"FAILED  {cell_id}: {error}", file=sys.stderr)
    if outcome.errors or outcome.num_left:
        print(
            f"{len(outcome.errors)} cells failed, {outcome.num_left} were not run; "
            "the same command runs what is missing",
            file=sys.stderr,
        )


def _print_results(experiment: Storage) -> None:
    """Print the table and write the report beside the cells; loads pandas and plotly, but neither before."""
    from analysis import results
    from analysis.report import build_report
    from analysis.tables import format_summary

    print()
    print(format_summary(results.load(experiment)))
    experiment.write(REPORT_FILE, build_report(experiment).encode())
    print(f"\nreport: {experiment.location}/{REPORT_FILE}")
