"""The dashboard's addresses: which page of which experiment a path names, and the path of each page."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from analysis.dashboard.filters import Filters, query

LIST = "experiments"
TRIAL = "trial"


class Address(NamedTuple):
    """What a path names; the names in it come from outside and are looked up before they are used.

    Attributes:
        experiment: name; None for the list of experiments.
        page: slug, `""` for the overview.
        cell_id: on the page of one trial.
    """

    experiment: str | None
    page: str = ""
    cell_id: str = ""


def read_path(path: str) -> Address | None:
    """What a path such as `/e/digits/trial/train-p0.50-s42` names; None where it has another form."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match parts:
        case [""]:
            return Address(None, LIST)
        case ["e", name]:
            return Address(name)
        case ["e", name, page]:
            return Address(name, page)
        case ["e", name, "trial", cell_id]:
            return Address(name, TRIAL, cell_id)
        case _:
            return None


def list_path() -> str:
    """Of the list of experiments."""
    return "/"


def page_path(experiment: str, page: str = "", filters: Filters | None = None) -> str:
    """Of a page of an experiment, with filters as its query."""
    path = f"/e/{quote(experiment, safe='')}" + (f"/{page}" if page else "")
    return path + (query(filters) if filters else "")


def trial_path(experiment: str, cell_id: str, filters: Filters | None = None) -> str:
    """Of one trial's page."""
    return page_path(experiment, f"{TRIAL}/{quote(cell_id, safe='')}", filters)


def download_path(experiment: str, file: str, filters: Filters | None = None) -> str:
    """Of a file to download, such as `trials.csv`, `tradeoff.csv`, `report.html` or `sweep.json`."""
    return f"/download/{quote(experiment, safe='')}/{quote(file, safe='')}" + (
        query(filters) if filters else ""
    )
