"""Chaos for several seeds: one undisturbed sweep, then a disturbed one for each seed, compared with it."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chaos.cells import attempts, cell_folders
from chaos.comparison import compare_exports, compare_files, count_done
from chaos.disk import SmallDisk, can_mount, small_disk
from chaos.disturbance import Disturbance
from chaos.driver import Driver
from chaos.faults import draw_faults
from chaos.nodes import Nodes, ray_nodes

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


@dataclass(kw_only=True)
class SeedResult:
    """What became of one disturbed sweep.

    Attributes:
        seed: of the choice of faults.
        on_cluster: whether it ran on several Ray nodes.
        with_disk: whether the disk could be filled.
        num_faults_wanted: faults that should have been done.
        faults: number done, by kind.
        num_cells: cells of the grid.
        num_cells_lost: cells without a finished row at the end.
        num_finished_redone: finished cells that were run again although no fault had destroyed their record.
        num_records_destroyed: finished cells whose record a fault destroyed; they are rightly run again.
        num_differences: values of the export, and files, that differ from the undisturbed sweep's.
        num_attempts: attempts at cells, as far as their files tell; one a cell in an undisturbed sweep.
        num_driver_starts: how often the command was given.
        exit_codes: how the drivers ended.
        wall_seconds: from the first start to the last end.
        violations: every property that did not hold, a line each.
    """

    seed: int
    on_cluster: bool
    with_disk: bool
    num_faults_wanted: int
    faults: dict[str, int] = field(default_factory=dict)
    num_cells: int = 0
    num_cells_lost: int = 0
    num_finished_redone: int = 0
    num_records_destroyed: int = 0
    num_differences: int = 0
    num_attempts: int = 0
    num_driver_starts: int = 0
    exit_codes: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def num_faults(self) -> int:
        """Faults done."""
        return sum(self.faults.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain-JSON form."""
        return {**asdict(self), "num_faults": self.num_faults}


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
            result = disturb(seed, settings, scratch / f"seed-{seed}", source, undisturbed)
            print(format_row(result), flush=True)
            for line in result.violations:
                print(f"  VIOLATION  {line}", flush=True)
            results.append(result)
        return results


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
    on_cluster, with_disk = seed % 2 == 0, can_mount(scratch)
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
        disturbance = Disturbance(
            run_arguments(settings, storage, nodes),
            experiment,
            scratch,
            source,
            random.Random(f"targets {seed}"),
            environment=environment | (nodes.environment if nodes else {}),
            nodes=nodes,
            disk=disk,
        )
        stack.callback(disturbance.close)
        start_seconds = time.monotonic()
        pauses = random.Random(f"pauses {seed}")
        try:
            for kind in kinds:
                if not disturbance.inject(kind):
                    break
                print(f"seed {seed}: {kind}", flush=True)
                time.sleep(pauses.uniform(0.1, LONGEST_PAUSE_SECONDS))
            disturbance.finish()
        except TimeoutError as error:
            result.violations.append(str(error))
        result.wall_seconds = time.monotonic() - start_seconds
        _judge(result, disturbance, experiment, undisturbed, scratch / "export.csv", source)
        _keep_copy(experiment, scratch / "experiment")
    return result


def _judge(
    result: SeedResult,
    disturbance: Disturbance,
    experiment: Path,
    undisturbed: Path,
    export: Path,
    source: Path,
) -> None:
    """Fill in what came out, and every property that does not hold."""
    reference = undisturbed.parent / "export.csv"
    result.faults = dict(sorted(disturbance.injected.items()))
    result.num_driver_starts = disturbance.num_starts
    result.exit_codes = {str(code): count for code, count in sorted(disturbance.exits.items())}
    result.num_records_destroyed = len(disturbance.ledger.destroyed)
    result.num_finished_redone = disturbance.ledger.num_redone
    result.num_attempts = sum(len(attempts(folder)) for folder in cell_folders(experiment))
    result.num_cells = count_done(reference)
    result.violations += disturbance.violations + disturbance.ledger.violations
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


HEADER = (
    f"{'seed':>4}  {'Ray':<8}{'faults':>7}{'lost':>6}{'redone':>8}{'destroyed':>11}{'differ':>8}"
    f"{'attempts':>10}{'starts':>8}{'seconds':>9}"
)


def format_row(result: SeedResult) -> str:
    """One line of the table under `HEADER`."""
    where = "3 nodes" if result.on_cluster else "local"
    return (
        f"{result.seed:>4}  {where:<8}{result.num_faults:>7}{result.num_cells_lost:>6}"
        f"{result.num_finished_redone:>8}{result.num_records_destroyed:>11}{result.num_differences:>8}"
        f"{result.num_attempts:>10}{result.num_driver_starts:>8}{result.wall_seconds:>9.0f}"
    )


def format_table(results: Sequence[SeedResult]) -> str:
    """The table of all seeds, and the faults by kind."""
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    lines = [HEADER, *(format_row(result) for result in results), "", "faults by kind:"]
    lines += [f"  {kind:<22}{count:>4}" for kind, count in sorted(faults.items())]
    return "\n".join(lines)
