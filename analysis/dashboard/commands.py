"""Commands that run one cell again, for people to copy. The dashboard itself runs nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from rc_core.recipes import PRESETS, Recipe


def commands_of(
    row: Mapping[str, Any], words: str, location: str, recipe: Recipe | None
) -> list[tuple[str, str]]:
    """(what it does, command), the one within the sweep first.

    Args:
        row: of the cell, as of `CellState.row`.
        words: how a command names the experiment, e.g. `digits --storage /data`.
        location: of the experiment.
        recipe: of the experiment; None without a sweep.
    """
    cell_id = row["cell_id"]
    found = []
    if recipe is not None:
        name, *options = shlex.split(words)
        retry = shlex.join(["rcsweep", "retry", name, cell_id, *options])
        why = {
            "done": "It is finished: after its folder was removed, within the sweep",
            "running": "It is running; should it fail, within the sweep",
        }
        found.append((f"{why.get(row['status'], 'Within the sweep')}:", retry))
    single = _single_command(row, location, recipe)
    if single is not None:
        found.append(("Alone, without Ray, into a folder of its own:", shlex.join(single)))
    return found


def _single_command(row: Mapping[str, Any], location: str, recipe: Recipe | None) -> list[str] | None:
    out = ["--out", f"{row['cell_id']}-again"]
    if row["parent_id"]:
        if "://" in location:  # the command takes a folder
            return None
        parent = f"{location}/{row['parent_id']}"
        return ["rcsweep", "prune", "--parent", parent, "--sparsity", f"{row['sparsity_target']:g}", *out]
    # The command takes the settings by name: they must be the recipe's own.
    if recipe is None or recipe.name not in PRESETS or PRESETS[recipe.name]().recipe != recipe:
        return None
    place = ["--randomization", f"{row['randomization']:g}", "--seed", str(row["seed"])]
    return ["rcsweep", "train", "--recipe", recipe.name, *place, *out]
