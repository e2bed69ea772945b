"""Cells, the points of the grid: what they are called and which one starts from which.

A cell is its content: two equal cells have one id, and the id names the folder that holds the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def _require_fraction(name: str, value: float, decimals: int, *, below_one: bool = False) -> None:
    allowed = "in [0, 1)" if below_one else "in [0, 1]"
    fits = 0 <= value < 1 if below_one else 0 <= value <= 1
    if not fits or math.copysign(1, value) < 0:  # -0.0 would give another id than 0.0
        raise ValueError(f"{name} = {value!r}: must be {allowed} (a fraction, not a percentage)")
    if round(value, decimals) != value:
        raise ValueError(
            f"{name} = {value!r}: at most {decimals} decimals, since the cell's id and folder carry them"
        )


def _require_seed(seed: int) -> None:
    if type(seed) is not int or not 0 <= seed < 2**32:  # True and 42.0 would give other ids than 1 and 42
        raise ValueError(f"seed = {seed!r}: must be an int in [0, 2**32), the range of numpy's RandomState")


@dataclass(frozen=True, kw_only=True)
class TrainCell:
    """One dense training.

    Attributes:
        randomization: probability that an example's label is redrawn, [0, 1], two decimals.
        seed: seed of every random stream, >= 0.
    """

    randomization: float
    seed: int

    def __post_init__(self) -> None:
        _require_fraction("randomization", self.randomization, 2)
        _require_seed(self.seed)

    @property
    def phase(self) -> str:
        """`train`."""
        return "train"

    @property
    def parent(self) -> None:
        """A training starts from nothing."""
        return None

    @property
    def cell_id(self) -> str:
        """E.g. `train-p0.30-s42`."""
        return f"train-p{self.randomization:.2f}-s{self.seed}"


@dataclass(frozen=True, kw_only=True)
class PruneCell:
    """One pruning, warm-started from the training with the same randomization and seed.

    Attributes:
        randomization: as of the parent.
        seed: as of the parent.
        sparsity: target sparsity, masked / prunable weights, [0, 1), three decimals.
        pruner: name of the pruning method.
    """

    randomization: float
    seed: int
    sparsity: float
    pruner: str = "dns"

    def __post_init__(self) -> None:
        _require_fraction("randomization", self.randomization, 2)
        _require_seed(self.seed)
        _require_fraction("sparsity", self.sparsity, 3, below_one=True)
        if self.pruner != "dns":
            raise ValueError(f"pruner = {self.pruner!r}: must be 'dns'")

    @property
    def phase(self) -> str:
        """`prune`."""
        return "prune"

    @property
    def parent(self) -> TrainCell:
        """The training whose final checkpoint this pruning starts from."""
        return TrainCell(randomization=self.randomization, seed=self.seed)

    @property
    def cell_id(self) -> str:
        """E.g. `prune-p0.30-s42-dns-S0.900`."""
        return f"prune-p{self.randomization:.2f}-s{self.seed}-{self.pruner}-S{self.sparsity:.3f}"


Cell = TrainCell | PruneCell


def cell_to_dict(cell: Cell) -> dict[str, Any]:
    """Plain-JSON form of a cell; the key `phase` tells the kind."""
    if isinstance(cell, TrainCell):
        return {"phase": "train", "randomization": cell.randomization, "seed": cell.seed}
    return {
        "phase": "prune",
        "randomization": cell.randomization,
        "seed": cell.seed,
        "sparsity": cell.sparsity,
        "pruner": cell.pruner,
    }


def cell_from_dict(data: dict[str, Any]) -> Cell:
    """Inverse of `cell_to_dict`.

    Raises:
        ValueError: unknown phase, or a field out of range.
    """
    if data["phase"] == "train":
        return TrainCell(randomization=data["randomization"], seed=data["seed"])
    if data["phase"] == "prune":
        return PruneCell(
            randomization=data["randomization"],
            seed=data["seed"],
            sparsity=data["sparsity"],
            pruner=data["pruner"],
        )
    raise ValueError(f"phase = {data['phase']!r}: must be 'train' or 'prune'")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A product of levels: one training per randomization and seed, one pruning per sparsity on each.

    Attributes:
        randomizations: levels of label randomization.
        sparsities: target sparsities; may be empty (trainings only).
        seeds: seeds.
    """

    randomizations: tuple[float, ...]
    sparsities: tuple[float, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("randomizations", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must not be empty")
        for name in ("randomizations", "sparsities", "seeds"):
            levels = getattr(self, name)
            if len(set(levels)) != len(levels):
                raise ValueError(f"{name} = {levels}: a level stands there twice")
        self.cells()  # validates every level

    def cells(self) -> list[Cell]:
        """Every cell, trainings first, seed by seed so that a cut-off sweep holds whole blocks."""
        trains: list[Cell] = [
            TrainCell(randomization=p, seed=s) for s in self.seeds for p in self.randomizations
        ]
        prunes: list[Cell] = [
            PruneCell(randomization=p, seed=s, sparsity=sparsity)
            for s in self.seeds
            for p in self.randomizations
            for sparsity in self.sparsities
        ]
        return trains + prunes

    def to_dict(self) -> dict[str, Any]:
        """Plain-JSON form."""
        return {
            "randomizations": list(self.randomizations),
            "sparsities": list(self.sparsities),
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Grid:
        """Inverse of `to_dict`."""
        return cls(
            randomizations=tuple(data["randomizations"]),
            sparsities=tuple(data["sparsities"]),
            seeds=tuple(data["seeds"]),
        )


def union_of_cells(grids: Iterable[Grid]) -> list[Cell]:
    """Cells of several grids without repetition: trainings first, then in order of appearance."""
    cells = {cell.cell_id: cell for grid in grids for cell in grid.cells()}
    return sorted(cells.values(), key=lambda cell: cell.phase != "train")
