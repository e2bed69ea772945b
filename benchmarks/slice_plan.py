"""In which order the cells of one seed are run, and how much of them is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rc_core.cells import Cell, Grid
from rc_core.recipes import Recipe

# Both ends of the published table: the claim shows there first.
FIRST_RANDOMIZATIONS = (0.0, 1.0)


def chunks_of_seed(grid: Grid, seed: int, stack: int) -> list[list[Cell]]:
    """Cells that are run together, in order: both ends of the grid with all their sparsities, then the rest.

    Args:
        grid: levels of randomization and sparsity.
        seed: the only one that is run.
        stack: most cells of a chunk, >= 1; all of one are trainings, or all are prunings.

    Raises:
        ValueError: stack is out of range.
    """
    if stack < 1:
        raise ValueError(f"stack = {stack!r}: must be at least 1")
    first = tuple(p for p in FIRST_RANDOMIZATIONS if p in grid.randomizations)
    rest = tuple(p for p in grid.randomizations if p not in first)
    chunks: list[list[Cell]] = []
    for randomizations in (first, rest):
        if not randomizations:
            continue
        wave = Grid(randomizations=randomizations, sparsities=grid.sparsities, seeds=(seed,)).cells()
        for phase in ("train", "prune"):
            chunks += _split([cell for cell in wave if cell.phase == phase], stack)
    return chunks


def _split(cells: Sequence[Cell], size: int) -> Iterator[list[Cell]]:
    for start in range(0, len(cells), size):
        yield list(cells[start : start + size])


def num_steps(cell: Cell, recipe: Recipe) -> int:
    """Optimisation steps of a cell."""
    return recipe.train.num_steps if cell.phase == "train" else recipe.prune.num_steps


def seconds_left(steps_left: Mapping[str, int], rates: Mapping[str, float]) -> float | None:
    """Time for the steps that are left; None where no rate is known.

    Args:
        steps_left: by phase, of all cells together.
        rates: steps per second by phase; a phase without one is taken to be as fast as the other.
    """
    if not rates:
        return None
    slowest = min(rates.values())
    return sum(steps / rates.get(phase, slowest) for phase, steps in steps_left.items())
