"""What became of the disturbed sweeps: figures, and the table of all seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


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
    num_faults_wanted: int
    with_disk: bool = False
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
