"""Two experiments: paired differences over the grid. Not in the gallery, which is of one experiment."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.comparison import Comparison, compare
from analysis.exhibits.exhibit import Control, Exhibit, Table, complete
from analysis.exhibits.metric_control import METRIC
from analysis.exhibits.point_rows import POINT_COLUMNS
from analysis.experiment_data import ExperimentData
from analysis.figures import difference_forest, difference_grid
from analysis.grid import METRICS, sparsity_label

TITLE = "Paired differences"
VIEW = Control("view", "View", (("grid", "grid"), ("intervals", "intervals")))
CONTROLS = (METRIC, VIEW)


def draw(first: ExperimentData, second: ExperimentData, choices: Mapping[str, str] | None = None) -> Exhibit:
    """Differences, second minus first.

    Args:
        first: experiment.
        second: experiment; of another name, or both are called by a number, too.
        choices: value by control of `CONTROLS`; the default of those that are missing.

    Raises:
        ValueError: no such control or value; or as of `analysis.comparison.compare`.
    """
    chosen = complete(choices or {}, CONTROLS, "comparison")
    names = (first.name, second.name)
    if first.name == second.name:  # two storages may each have a sweep of that name
        names = (f"{first.name} (1)", f"{second.name} (2)")
    info = compare(first.frame, second.frame, names=names, metric=chosen["metric"])
    if chosen["view"] == "intervals":
        figure, caption = difference_forest.plot_difference_forest(info), difference_forest.caption(info)
        return Exhibit(figure, caption, table(info))
    num_columns = len({cell.sparsity for cell in info.cells})
    figure, caption = difference_grid.plot_difference_grid(info), difference_grid.caption(info)
    return Exhibit(figure, caption, table(info), min_width_px=100 + 58 * num_columns)


def table(info: Comparison) -> Table:
    """One row a point that both grids have."""
    seeds = sorted({seed for cell in info.cells for seed in cell.seeds})
    rows: list[tuple[object, ...]] = []
    for cell in info.cells:
        by_seed = dict(zip(cell.seeds, cell.differences, strict=True))
        rows.append(
            (
                cell.randomization,
                sparsity_label(cell.sparsity),
                *cell.interval,
                cell.num_shared,
                cell.num_only_first,
                cell.num_only_second,
                *(by_seed.get(seed) for seed in seeds),
            )
        )
    counts = ("n", "of", f"only in {info.first}", f"only in {info.second}")
    header = (*POINT_COLUMNS, "mean", "low", "high", *counts, *(f"seed {seed}" for seed in seeds))
    label = f"{METRICS[info.metric]}, {info.second} minus {info.first}"
    return Table(label, header, rows, num_label_columns=2)
