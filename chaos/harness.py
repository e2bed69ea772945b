"""Chaos for several seeds: one undisturbed sweep, then a disturbed one for each seed, compared with it."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.cells import attempts, cell_folders
from chaos.comparison import compare_exports, compare_files, count_done
from chaos.disk import SmallDisk, can_mount, small_disk
from chaos.disturbance import Disturbance
from chaos.driver import Driver
from chaos.faults import draw_faults
from chaos.ledger import Ledger
from chaos.nodes import Nodes, ray_nodes
from chaos.results import SeedResult, format_row
from chaos.supervisor import Supervisor

PACKAGES = ("rc_core", "tune_experiments", "analysis")
DISK_BYTES = 64 << 20
NUM_WORKERS = 2
LONGEST_PAUSE_SECONDS = 1.0
SWEEP_LIMIT_SECONDS = 1200.0


@dataclass(frozen=True, kw_only=True)
class ChaosSettings:
    """What is disturbed, and how much.

    Attributes:
        recipe: of the sweep.
        grid: options of `rcsweep run` that give the grid.
        num_faults: faults for each seed.
        checkpoint_seconds: small, so that cells of seconds have several checkpoints.
    """

    recipe: str = "digits"
    grid: tuple[str, ...] = ("--randomization", "0,1", "--sparsity", "0.5,0.8,0.9", "--seeds", "42,43")
    num_faults: int = 20
    checkpoint_seconds: float = 0.5


def run_chaos(seeds: Sequence[int], settings: ChaosSettings, keep: Path | None = None) -> list[SeedResult]:
    """Disturb one sweep for each seed; odd seeds run on a Ray of their own, even ones on 3 nodes.

    All sweeps run a copy of the packages that is made at the start, so that editing the source in the
    meantime changes neither the code nor its recorded version.

    Args:
        seeds: of the choice of faults.
        settings: see there.
        keep: a new folder that takes the experiments and the drivers' output; None = a temporary one.
    """
    with contextlib.ExitStack() as stack:
        if keep is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        else:
            scratch = keep
            scratch.mkdir(parents=True)
        source = copy_packages(scratch / "source")
        undisturbed = _run_undisturbed(settings, scratch, source)
        results = []
        for seed in seeds:
            try:
                result = disturb(seed, settings, scratch / f"seed-{seed}", source, undisturbed)
            except Exception:  # of the harness itself; the other seeds' results are wanted all the same
                result = SeedResult(
                    seed=seed,
                    on_cluster=_is_on_cluster(seed),
                    num_faults_wanted=settings.num_faults,
                    violations=[traceback.format_exc()],
                )
            print(format_row(result), flush=True)
            for line in result.violations:
                print(f"  VIOLATION  {line}", flush=True)
            results.append(result)
        return results


def _is_on_cluster(seed: int) -> bool:
    return seed % 2 == 0


def copy_packages(target: Path) -> Path:
    """Copy what `rcsweep run` needs out of this checkout; returns the folder."""
    root = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        shutil.copytree(root / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run_arguments(settings: ChaosSettings, storage: Path, nodes: Nodes | None = None) -> list[str]:
    """The command that every driver of a sweep gets, without `rcsweep`."""
    address = ["--address", nodes.address] if nodes else []
    return [
        *("run", settings.recipe, *settings.grid, "--storage", str(storage)),
        *("--checkpoint-seconds", str(settings.checkpoint_seconds), *address),
    ]


def _run_undisturbed(settings: ChaosSettings, scratch: Path, source: Path) -> Path:
    """The experiment's folder, with its export beside it."""
    storage = scratch / "undisturbed"
    storage.mkdir()
    driver = Driver(run_arguments(settings, storage), storage / "output.txt", folder=source)
    try:
        if driver.wait(SWEEP_LIMIT_SECONDS) != 0:
            raise RuntimeError(f"the undisturbed sweep failed:\n{driver.output}")
    finally:
        driver.end_processes()
    experiment = storage / settings.recipe
    _export(experiment, storage / "export.csv", source)
    return experiment


def _export(experiment: Path, out: Path, source: Path) -> None:
    driver = Driver(["export", str(experiment), "--out", str(out)], out.with_suffix(".txt"), folder=source)
    if driver.wait(SWEEP_LIMIT_SECONDS) != 0:
        raise RuntimeError(f"the export failed:\n{driver.output}")


def disturb(seed: int, settings: ChaosSettings, scratch: Path, source: Path, undisturbed: Path) -> SeedResult:
    """Run one sweep under the faults that the seed chooses, and judge it.

    Args:
        seed: of the choice of faults.
        settings: see there.
        scratch: a new folder.
        source: folder of the packages to run.
        undisturbed: the experiment to compare with; `export.csv` lies beside it.
    """
    scratch.mkdir()
    on_cluster, with_disk = _is_on_cluster(seed), can_mount(scratch)
    result = SeedResult(
        seed=seed, on_cluster=on_cluster, with_disk=with_disk, num_faults_wanted=settings.num_faults
    )
    kinds = draw_faults(seed, settings.num_faults, on_cluster=on_cluster, with_disk=with_disk)
    with contextlib.ExitStack() as stack:
        storage = scratch / "results"
        disk: SmallDisk | None = None
        if with_disk:
            disk = stack.enter_context(small_disk(storage, DISK_BYTES))
        environment = {"PYTHONPATH": str(source)}
        nodes = stack.enter_context(ray_nodes(NUM_WORKERS, environment)) if on_cluster else None
        experiment = storage / settings.recipe
        supervisor = Supervisor(
            run_arguments(settings, storage, nodes),
            experiment,
            scratch,
            source,
            environment | (nodes.environment if nodes else {}),
        )
        stack.callback(supervisor.close)
        ledger = Ledger(experiment)
        targets = random.Random(f"targets {seed}")
        disturbance = Disturbance(supervisor, experiment, ledger, targets, nodes=nodes, disk=disk)
        start_seconds = time.monotonic()
        pauses = random.Random(f"pauses {seed}")
        try:
            for kind in kinds:
                if not disturbance.inject(kind):
                    break
                print(f"seed {seed}: {kind}", flush=True)
                time.sleep(pauses.uniform(0.1, LONGEST_PAUSE_SECONDS))
            supervisor.finish()
        except TimeoutError as error:
            result.violations.append(str(error))
        result.wall_seconds = time.monotonic() - start_seconds
        ledger.look()
        result.faults = dict(sorted(disturbance.injected.items()))
        result.num_driver_starts = supervisor.num_starts
        result.exit_codes = {str(code): count for code, count in sorted(supervisor.exits.items())}
        result.num_records_destroyed = len(ledger.destroyed)
        result.num_finished_redone = ledger.num_redone
        result.num_attempts = sum(len(attempts(folder)) for folder in cell_folders(experiment))
        result.violations += disturbance.violations + supervisor.violations + ledger.violations
        _compare(result, experiment, undisturbed, scratch / "export.csv", source)
        _keep_copy(experiment, scratch / "experiment")
    return result


def _compare(result: SeedResult, experiment: Path, undisturbed: Path, export: Path, source: Path) -> None:
    """Fill in what came out against the undisturbed sweep."""
    reference = undisturbed.parent / "export.csv"
    result.num_cells = count_done(reference)
    if result.num_faults < result.num_faults_wanted:
        result.violations.append(f"the sweep ended after {result.num_faults} faults")
    try:
        _export(experiment, export, source)
    except RuntimeError as error:
        result.num_cells_lost = result.num_cells
        result.violations.append(str(error))
        return
    result.num_cells_lost = result.num_cells - count_done(export)
    differences = compare_exports(reference, export) + compare_files(undisturbed, experiment)
    result.num_differences = len(differences)
    result.violations += differences
    if result.num_cells_lost:
        result.violations.append(f"{result.num_cells_lost} cells are not finished")


def _keep_copy(experiment: Path, target: Path) -> None:
    """Small files of the experiment, for a look after the disk is gone."""
    shutil.copytree(experiment, target, ignore=shutil.ignore_patterns("*.safetensors", "*.pkl", "lost+found"))
