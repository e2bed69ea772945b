"""What several commands share: option types, finding an experiment, exit codes, the usage error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from rc_core.cells import Grid
from rc_core.recipes import PRESETS, Preset, preset
from rc_core.storage import Storage, open_storage

EXIT_COMPLETE, EXIT_FAILED, EXIT_USAGE, EXIT_CELLS_FAILED = 0, 1, 2, 3
EXIT_INTERRUPTED = 130  # as a shell reports a process that SIGINT ended

DEFAULT_STORAGE = "results"

READER_PATIENCE_SECONDS = 30.0


class UsageError(ValueError):
    """The command cannot be carried out as written; the message says what to change."""


def comma_separated(cast: Callable[[str], Any], metavar: str) -> Any:
    """Option type of one argument with commas in it, e.g. `0,0.5,1`."""

    def parse(arguments: list[str]) -> tuple[Any, ...]:
        return tuple(cast(part) for part in arguments[0].split(",") if part)

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=parse,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(str(part) for part in value)],
    )


_Fractions = Annotated[tuple[float, ...], comma_separated(float, "F,F,...")]
_Integers = Annotated[tuple[int, ...], comma_separated(int, "N,N,...")]
Fractions = Annotated[_Fractions | None, arg(metavar="F,F,...")]
Integers = Annotated[_Integers | None, arg(metavar="N,N,...")]
Name = Annotated[str | None, arg(metavar="NAME")]
Folder = Annotated[Path | None, arg(metavar="DIR")]
RecipeName = Annotated[str, arg(metavar="{" + ",".join(PRESETS) + "}")]
StackOption = Annotated[str, arg(metavar="auto|K")]
Location = Positional[Annotated[str, arg(metavar="NAME|DIR|URI")]]


def find_experiment(name: str, storage: str, patience_seconds: float | None = None) -> Storage:
    """The folder of an experiment: NAME in the storage root, or a path or URI as it is.

    Args:
        name: NAME, path or URI.
        storage: the root; a path or URI.
        patience_seconds: see `open_storage`; who asks at a terminal should not wait as long as a sweep.
    """
    if "://" in name or "/" in name or name == ".":
        return open_storage(name, patience_seconds)
    return open_storage(storage, patience_seconds).folder(name)


def choose_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return preset(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def choose_grid(
    default: Grid,
    randomizations: tuple[float, ...] | None,
    sparsities: tuple[float, ...] | None,
    seeds: tuple[int, ...] | None,
) -> Grid:
    """The default grid with the levels that were given.

    Raises:
        UsageError: a level is out of range.
    """
    try:
        return Grid(
            randomizations=default.randomizations if randomizations is None else randomizations,
            sparsities=default.sparsities if sparsities is None else sparsities,
            seeds=default.seeds if seeds is None else seeds,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def parse_stack(text: str) -> int | None:
    """The number in `--stack`; None for `auto`.

    Raises:
        UsageError: it is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--stack {text}: must be auto or a whole number from 1")
    return int(text)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1))
