"""Weights kept in every layer of pruned networks, from the cells' records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rc_core.experiment import read_records
from rc_core.storage import Storage, open_storage


class Layer(NamedTuple):
    """One prunable kernel.

    Attributes:
        name: of the parameter, e.g. `blocks.0.conv1.weight`.
        num_weights: all of them.
        num_kept: unmasked ones.
    """

    name: str
    num_weights: int
    num_kept: int

    @property
    def density(self) -> float:
        """Kept / all weights, 0-1."""
        return self.num_kept / self.num_weights


def load_layers(location: str | Path | Storage, cell_ids: Iterable[str]) -> dict[str, tuple[Layer, ...]]:
    """The layers of finished prunings, in the network's order, by cell id.

    Args:
        location: as of `analysis.results.load`.
        cell_ids: cells that are wanted; those that are not finished, or not pruned, are left out.
    """
    storage = open_storage(location) if isinstance(location, str | Path) else location
    layers = {
        cell_id: tuple(
            Layer(layer["name"], layer["num_weights"], layer["num_kept"])
            for layer in record.get("layers", [])
        )
        for cell_id, record in read_records(storage, cell_ids).items()
    }
    return {cell_id: some for cell_id, some in layers.items() if some}
