"""Curves of trainings and of the prunings that start from them, on one horizontal axis."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import pandas as pd

from rc_core.dataset_info import KNOWN_DATASETS
from rc_core.recipes import Recipe

Scale = Literal["step", "epoch", "wall_seconds"]

# Level of the parents among the sparsities, below all of them.
_PARENT = -1.0


class Curve(NamedTuple):
    """One line.

    Attributes:
        sparsity: target; None is the parent.
        seed: None for the mean over seeds.
        steps: completed steps, ascending; a child's count on from the end of its parent.
        places: the same points on the horizontal axis.
        values: the metric, mean over the window that ends at the step (and over `num_cells` cells).
        num_cells: cells in the mean.
        start: where a child's line begins: place and value of the last point of its parent's curve, mean over
            its cells; None for parents, and where the parent has no curve.
    """

    sparsity: float | None
    seed: int | None
    steps: tuple[int, ...]
    places: tuple[float, ...]
    values: tuple[float, ...]
    num_cells: int
    start: tuple[float, float] | None = None


class CurvesPanel(NamedTuple):
    """One randomization.

    Attributes:
        randomization: level.
        warm_start: place where training ends and pruning begins, mean over the parents; None where unknown.
        curves: the parents' first, then by sparsity.
    """

    randomization: float
    warm_start: float | None
    curves: tuple[Curve, ...]


def curve_scales(frame: pd.DataFrame, recipe: Recipe | None = None) -> tuple[Scale, ...]:
    """The horizontal axes that an experiment has what it takes for; `step` always.

    Args:
        frame: as of `analysis.results.load`.
        recipe: of the sweep; without it, or without the size of its data set, there are no epochs.
    """
    done = frame.loc[frame["status"] == "done", ["wall_seconds", "steps"]]
    scales: list[Scale] = ["step"]
    if recipe is not None and _num_train_examples(recipe) is not None:
        scales.append("epoch")
    if len(done) and not done.isna().to_numpy().any():
        scales.append("wall_seconds")
    return tuple(scales)


def _num_train_examples(recipe: Recipe) -> int | None:
    if recipe.num_train_examples is not None:
        return recipe.num_train_examples
    known = KNOWN_DATASETS.get(recipe.dataset)
    return None if known is None else known.num_train


def curve_panels(
    frame: pd.DataFrame,
    history: pd.DataFrame,
    metric: str,
    by: Literal["mean", "seed"] = "mean",
    *,
    x: Scale = "step",
    recipe: Recipe | None = None,
) -> tuple[CurvesPanel, ...]:
    """Curves by ascending randomization.

    Args:
        frame: as of `analysis.results.load`.
        history: as of `analysis.results.load_history`.
        metric: a float column of the history; points without it are left out.
        by: `mean` averages the seeds at equal steps; only steps that every averaged cell has are kept.
        x: `step`; `epoch`: step x batch size / number of training examples; `wall_seconds`: the cell's wall
            time, shared out evenly over its steps.
        recipe: needed for epochs.

    Raises:
        ValueError: an x that `curve_scales` does not have.
    """
    if x not in (scales := curve_scales(frame, recipe)):
        raise ValueError(
            f"x = {x!r}: must be one of {', '.join(scales)}; epoch needs the recipe and the size of its data "
            "set, wall_seconds the wall time of every finished cell"
        )
    cells = _placed_cells(frame, history, metric, _per_step(frame, x, recipe))
    drawn = cells[cells["last_step"].notna()]
    logged = history[["cell_id", "step", metric]].rename(columns={metric: "value"}).dropna(subset=["value"])
    logged = logged.merge(cells, on="cell_id")
    logged["place"] = logged["first_place"] + logged["step"] * logged["per_step"]
    logged["step"] += logged["first_step"]
    of_curve = ["randomization", "level"] if by == "mean" else ["randomization", "level", "seed"]
    at_step = logged.groupby([*of_curve, "step"])[["place", "value"]]
    per_curve = drawn.groupby(of_curve).agg(
        num_cells=("cell_id", "size"),
        start_place=("start_place", "mean"),
        start_value=("start_value", "mean"),
    )
    points = at_step.mean().assign(num_here=at_step.size()).reset_index().join(per_curve, on=of_curve)
    curves: dict[float, list[Curve]] = {}
    for _, part in points.groupby(of_curve):
        whole = part.iloc[0]
        shared = part[part["num_here"] == part["num_cells"]]
        curve = Curve(
            sparsity=None if whole["level"] == _PARENT else float(whole["level"]),
            seed=None if by == "mean" else int(whole["seed"]),
            steps=tuple(shared["step"].tolist()),
            places=tuple(shared["place"].tolist()),
            values=tuple(shared["value"].tolist()),
            num_cells=int(whole["num_cells"]),
            start=None
            if math.isnan(whole["start_place"])
            else (float(whole["start_place"]), float(whole["start_value"])),
        )
        curves.setdefault(float(whole["randomization"]), []).append(curve)
    return tuple(
        CurvesPanel(randomization, _warm_start_of(drawn, randomization), tuple(some))
        for randomization, some in curves.items()
    )


def _placed_cells(
    frame: pd.DataFrame, history: pd.DataFrame, metric: str, per_step: pd.Series[float]
) -> pd.DataFrame:
    """One row a cell: where its curve begins, how far a step goes, and where its parent's curve ends.

    Here and not a logged step at a time: there are fifty of those in a cell.
    """
    columns = ["cell_id", "parent_id", "randomization", "seed", "steps"]
    cells = frame[columns].assign(level=frame["sparsity_target"].fillna(_PARENT), per_step=per_step)
    cells["end"] = cells["steps"].astype("float64") * per_step
    logged = history[["cell_id", "step", metric]].dropna(subset=[metric]).sort_values("step")
    last = logged.groupby("cell_id")[["step", metric]].last()
    cells = cells.join(last.set_axis(["last_step", "last_value"], axis=1), on="cell_id")
    parents = cells.set_index("cell_id").reindex(cells["parent_id"]).set_axis(cells.index)
    return cells.assign(
        # A child whose parent is not in the table (it was trained elsewhere) starts at 0.
        first_step=parents["steps"].fillna(0).astype("int64"),
        first_place=parents["end"].fillna(0.0),
        start_place=parents["last_step"] * parents["per_step"],
        start_value=parents["last_value"],
        parent_end=parents["end"],
    )


def _warm_start_of(cells: pd.DataFrame, randomization: float) -> float | None:
    """Mean end of the parents at a randomization, each counted once."""
    here = cells[cells["randomization"] == randomization]
    trained = here.loc[here["level"] == _PARENT].set_index("cell_id")["end"]
    ends = pd.concat([trained, here.set_index("parent_id")["parent_end"]]).dropna()
    ends = ends[~ends.index.duplicated()]
    return float(ends.mean()) if len(ends) else None


def _per_step(frame: pd.DataFrame, x: Scale, recipe: Recipe | None) -> pd.Series[float]:
    """How far one step of every cell goes on the horizontal axis."""
    if x == "wall_seconds":
        return frame["wall_seconds"] / frame["steps"].astype("float64")
    if x == "epoch":
        assert recipe is not None
        num_examples = _num_train_examples(recipe)
        assert num_examples is not None
        batch_sizes = {"train": recipe.train.batch_size, "prune": recipe.prune.batch_size}
        return frame["phase"].map(batch_sizes).astype("float64") / num_examples
    return pd.Series(1.0, index=frame.index)
