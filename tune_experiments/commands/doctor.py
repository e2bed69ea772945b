"""`rcsweep doctor`: what is wrong, before it costs time or money."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction, arg

from rc_core.storage import open_storage
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    EXIT_FAILED,
    Folder,
    Fractions,
    Integers,
    Name,
    UsageError,
    choose_grid,
    choose_preset,
    find_experiment,
    print_json,
)
from tune_experiments.doctor.finding import Finding, Level, has_problem
from tune_experiments.plan import Plan

Prices = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="TYPE=DOLLARS")]


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look for what would go wrong: on this machine, or with --cluster in a file for 'ray up'.

    Each line is ok, 'not checked' (and why), a warning or a problem, with the way out. Starts nothing; where
    results go, one small file is written and deleted again. Exit 1: there is a problem.
    """

    cluster: Annotated[Path | None, arg(metavar="FILE")] = None
    """Check this cluster file instead of this machine: Ray's validation and what it misses, safety, versions,
    what AWS says, cost. From the directory in which 'ray up' will be called."""
    recipe: Annotated[str | None, arg(metavar="RECIPE")] = None
    """With --cluster: what this sweep would cost there."""
    randomization: Fractions = None
    """Levels of label randomization of that sweep; default: the recipe's."""
    sparsity: Fractions = None
    """Target sparsities of that sweep; default: the recipe's."""
    seeds: Integers = None
    """Seeds of that sweep; default: the recipe's."""
    name: Name = None
    """Name of the experiment; its finished cells cost nothing. Default: the recipe's."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    data: Folder = None
    """Folder of the TFRecord files; default: $RCSWEEP_DATA, then ./data."""
    price: Prices = ()
    """Dollars an hour of a node type or instance type, e.g. gpu_spot=0.45; may be given several times."""
    device_speed: float = 1.0
    """How many times faster a device of the cluster is than the one that 'rcsweep plan' rests on."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        if self.recipe is not None and self.cluster is None:
            raise UsageError(
                "--recipe: goes with --cluster FILE; 'rcsweep plan' tells what a sweep takes here"
            )
        if not (self.device_speed > 0 and math.isfinite(self.device_speed)):
            raise UsageError(f"--device-speed {self.device_speed:g}: must be above 0")
        findings = self._this_machine() if self.cluster is None else self._cluster_file(self.cluster)
        if self.json:
            print_json([finding.to_dict() for finding in findings])
        else:
            print("\n".join(line for finding in findings for line in finding.to_lines()))
            print(summary(findings))
        return EXIT_FAILED if has_problem(findings) else EXIT_COMPLETE

    def _this_machine(self) -> list[Finding]:
        from tune_experiments.doctor import devices, machine
        from tune_experiments.doctor.results_folder import check_results_folder

        return [
            *machine.check_python(),
            *machine.check_packages(),
            *devices.check_devices(),
            *machine.check_cpus(),
            *machine.check_memory(),
            *machine.check_disks(self.storage),
            *machine.check_data(self.data),
            *machine.check_browser(),
            *check_results_folder(self.storage),
        ]

    def _cluster_file(self, path: Path) -> list[Finding]:
        from tune_experiments.doctor import aws_account, cluster_safety, cluster_structure
        from tune_experiments.doctor.cluster_cost import check_cost
        from tune_experiments.doctor.cluster_file import ClusterFileError, check_by_ray, read_cluster_file
        from tune_experiments.doctor.cluster_versions import check_versions
        from tune_experiments.doctor.node_config import check_node_configs
        from tune_experiments.doctor.node_sizes import check_instance_types
        from tune_experiments.doctor.results_folder import check_shared_results

        prices = parse_prices(self.price)
        try:
            file = read_cluster_file(path)
            findings = check_by_ray(file)
        except ClusterFileError as error:
            raise UsageError(str(error)) from error
        if has_problem(findings):
            return findings
        results = check_shared_results(self.storage)
        is_readable = all(finding.level is Level.OK for finding in results)
        return [
            *findings,
            *cluster_structure.check_placeholders(file),
            *cluster_structure.check_provider_keys(file),
            *check_node_configs(file),
            *cluster_structure.check_workers(file),
            *check_instance_types(file),
            *cluster_structure.check_mounts(file),
            *check_versions(file),
            *cluster_safety.check_token(file),
            *cluster_safety.check_ports(file),
            *aws_account.check_account(file),
            *results,
            *check_cost(file, prices, self._plan(is_readable), self.device_speed),
        ]

    def _plan(self, is_readable: bool) -> Plan | None:
        """What is left of the sweep; all of it where the storage cannot be read."""
        if self.recipe is None:
            return None
        from tune_experiments.plan import make_plan

        chosen = choose_preset(self.recipe)
        grid = choose_grid(chosen.grid, self.randomization, self.sparsity, self.seeds)
        if is_readable:
            return make_plan(chosen, grid.cells(), find_experiment(self.name or self.recipe, self.storage))
        with tempfile.TemporaryDirectory() as empty:
            return make_plan(chosen, grid.cells(), open_storage(empty))


def parse_prices(texts: tuple[str, ...]) -> dict[str, float]:
    """The prices in `--price TYPE=DOLLARS`.

    Raises:
        UsageError: one is not of that form.
    """
    prices = {}
    for text in texts:
        name, _, dollars = text.partition("=")
        try:
            prices[name] = float(dollars)
        except ValueError:
            prices[name] = math.nan
        if not name or not 0 <= prices[name] < math.inf:
            raise UsageError(f"--price {text}: must be TYPE=DOLLARS, e.g. g5.2xlarge=0.45")
    return prices


def summary(findings: list[Finding]) -> str:
    """The last line: how many of each kind."""
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return (
        f"{counts[Level.PROBLEM]} problem(s), {counts[Level.WARNING]} warning(s), "
        f"{counts[Level.NOT_CHECKED]} not checked, {counts[Level.OK]} ok"
    )
