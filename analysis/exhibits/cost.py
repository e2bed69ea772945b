"""What the sweep cost."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.exhibits.exhibit import Exhibit, ExhibitKind, Table, no_controls
from analysis.exhibits.quantity_rows import quantity_table
from analysis.experiment_data import ExperimentData
from analysis.figures.cost import CostInfo, caption, get_cost_info, plot_cost
from analysis.grid import sparsity_label


def draw(data: ExperimentData, choices: Mapping[str, str]) -> Exhibit:
    """The cost of the finished cells, and the attempts at those of the frame."""
    log, cell_ids = data.attempts(), set(data.frame["cell_id"])
    here = log._replace(attempts=tuple(each for each in log.attempts if each.cell_id in cell_ids))
    info = get_cost_info(data.frame, here)
    return Exhibit(plot_cost(info), caption(info), table(info))


def table(info: CostInfo) -> Table:
    """Time a step and a cell over the grid, then sums over all randomizations and seeds."""
    quantities = quantity_table("cost", [info.step_milliseconds, info.cell_time], mean="mean or sum")
    num_blank = len(quantities.header) - 8

    def row(quantity: str, sparsity: str, value: float, num_cells: int) -> tuple[object, ...]:
        return (quantity, "all", sparsity, value, None, None, num_cells, num_cells, *[None] * num_blank)

    sums = [
        row("device seconds in all", sparsity_label(kind.sparsity), kind.device_seconds, kind.num_cells)
        for kind in info.kinds
    ]
    if info.retries is not None:
        counts = info.retries.num_cells_by_attempts
        sums += [row(f"cells by attempts: {attempts}", "all", cells, cells) for attempts, cells in counts]
    return quantities._replace(rows=[*quantities.rows, *sums])


COST = ExhibitKind(name="cost", title="Cost", controls=no_controls, draw=draw)
