"""What a page shows, as its address says it: filters, order, controls. The same link gives the same view."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

import pandas as pd

from rc_core.experiment import STATUSES

_Value = TypeVar("_Value")

DENSE = "dense"
_CHOICE_KEY = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Everything in the query of an address. Empty filters let everything through.

    Attributes:
        randomizations: levels that are shown.
        sparsities: targets that are shown; None is the dense network.
        seeds: seeds that are shown.
        statuses: of `rc_core.experiment.STATUSES`.
        sort: column by which trials are sorted, with `-` before it for descending order.
        page: of the list of trials, from 1.
        other: experiment that is compared with.
        is_live: whether the page follows the experiment.
        choices: (`exhibit.control`, value) of controls that were set, by name.
    """

    randomizations: tuple[float, ...] = ()
    sparsities: tuple[float | None, ...] = ()
    seeds: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    sort: str = ""
    page: int = 1
    other: str = ""
    is_live: bool = True
    choices: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for status in self.statuses:
            if status not in STATUSES:
                raise ValueError(f"status = {status!r}: must be one of {', '.join(STATUSES)}")
        if self.page < 1:
            raise ValueError(f"page = {self.page!r}: must be at least 1")
        for key, _ in self.choices:
            if not _CHOICE_KEY.fullmatch(key):
                raise ValueError(f"{key!r}: a control is named exhibit.control, as in tradeoff.axis")
        if list(self.choices) != sorted(dict(self.choices).items()):
            raise ValueError(f"choices = {self.choices!r}: must be sorted, each control once")

    def choices_of(self, exhibit: str) -> dict[str, str]:
        """Value by control of one exhibit; controls that were not set are missing."""
        return {
            key.partition(".")[2]: value
            for key, value in self.choices
            if key.partition(".")[0] == exhibit and value
        }

    def place_only(self) -> Filters:
        """What a link to another page keeps: which cells are shown, and whether the page is live."""
        return replace(self, sort="", page=1, other="", choices=())

    @property
    def is_open(self) -> bool:
        """Whether every cell is shown."""
        return not (self.randomizations or self.sparsities or self.seeds or self.statuses)


def parse(search: str) -> Filters:
    """The filters in the query of an address, with or without its `?`. Keys that mean nothing are skipped.

    Raises:
        ValueError: a value cannot be read; the message names key and value.
    """
    found: dict[str, Any] = {}
    choices: dict[str, str] = {}
    for key, value in parse_qsl(search.removeprefix("?")):
        if key in _LISTS:
            field, read, _ = _LISTS[key]
            found[field] = tuple(dict.fromkeys(_read(key, part, read) for part in value.split(",") if part))
        elif key == "page":
            found["page"] = _read(key, value, int)
        elif key == "sort":
            found["sort"] = value
        elif key == "with":
            found["other"] = value
        elif key == "live":
            if value not in ("on", "off"):
                raise ValueError(f"live = {value!r}: must be on or off")
            found["is_live"] = value == "on"
        elif "." in key:
            choices[key] = value
    return Filters(**found, choices=tuple(sorted(choices.items())))


def query(filters: Filters) -> str:
    """The query that `parse` reads back, with its `?`; empty where there is nothing to say."""
    parts = []
    for key, (field, _, show) in _LISTS.items():
        if values := _field(filters, field):
            parts.append((key, ",".join(show(value) for value in values)))
    parts += [("sort", filters.sort)] if filters.sort else []
    parts += [("page", str(filters.page))] if filters.page != 1 else []
    parts += [("with", filters.other)] if filters.other else []
    parts += [] if filters.is_live else [("live", "off")]
    parts += [(key, value) for key, value in filters.choices if value]
    return "?" + "&".join(f"{key}={quote(value, safe=',')}" for key, value in parts) if parts else ""


def level_text(level: float | None) -> str:
    """A level in as few digits as bring it back: `0.5`, `1`, `dense`."""
    if level is None:
        return DENSE
    return short if float(short := f"{level:g}") == level else repr(float(level))


def matching(frame: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rows of a result table (`analysis.results.load`) that the filters let through."""
    if filters.is_open:
        return frame
    keep = pd.Series(True, index=frame.index)
    if filters.randomizations:
        keep &= frame["randomization"].isin(filters.randomizations)
    if filters.sparsities:
        targets = [level for level in filters.sparsities if level is not None]
        is_dense = (frame["phase"] == "train") & (None in filters.sparsities)
        keep &= frame["sparsity_target"].isin(targets) | is_dense
    if filters.seeds:
        keep &= frame["seed"].isin(filters.seeds)
    if filters.statuses:
        keep &= frame["status"].isin(filters.statuses)
    return frame[keep]


def _field(filters: Filters, name: str) -> tuple[Any, ...]:
    fields: Mapping[str, tuple[Any, ...]] = {
        "randomizations": filters.randomizations,
        "sparsities": filters.sparsities,
        "seeds": filters.seeds,
        "statuses": filters.statuses,
    }
    return fields[name]


def _read(key: str, text: str, read: Callable[[str], _Value]) -> _Value:
    try:
        return read(text)
    except ValueError as error:
        kind = {"p": "a number from 0 to 1", "S": "a number from 0 to 1, or dense"}.get(key, "a whole number")
        raise ValueError(f"{key} = {text!r}: must be {kind}") from error


def _read_fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1 or math.copysign(1, value) < 0:
        raise ValueError(text)
    return value


def _read_sparsity(text: str) -> float | None:
    return None if text == DENSE else _read_fraction(text)


# Key in the address: field, and how a value of it is read and written.
_LISTS: dict[str, tuple[str, Callable[[str], Any], Callable[[Any], str]]] = {
    "p": ("randomizations", _read_fraction, level_text),
    "S": ("sparsities", _read_sparsity, level_text),
    "seed": ("seeds", int, str),
    "status": ("statuses", str, str),
}


def chosen(filters: Filters, key: str, value: str) -> Filters:
    """The filters with one control set; an empty value takes the control's default."""
    others: Iterable[tuple[str, str]] = ((name, old) for name, old in filters.choices if name != key)
    return replace(filters, choices=tuple(sorted([*others, *([(key, value)] if value else [])])))
