"""Files to download: tables as CSV, the report, the settings. They are made when they are asked for."""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, request

from analysis.dashboard.exhibit_block import exhibit_table
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.filters import Filters, matching, parse
from analysis.dashboard.live_experiment import Snapshot
from analysis.dashboard.page_data import PageData
from analysis.dashboard.pages.compare import comparison_table
from analysis.dashboard.pages.trials import sorted_rows
from analysis.exhibits.gallery import EXHIBITS
from analysis.exhibits.table_text import to_csv
from analysis.report import build_report
from rc_core.recipes import recipe_to_dict

_LOG = logging.getLogger(__name__)

_CSV, _HTML, _JSON, _TEXT = "text/csv", "text/html", "application/json", "text/plain"


def add_downloads(server: Flask, experiments: Experiments) -> None:
    """Add the route of all files to download."""

    @server.get("/download/<name>/<file>")
    def download(name: str, file: str) -> Response:
        experiment = experiments.find(name)
        if experiment is None:
            return _refused(404, f"There is no experiment {name!r} here.")
        try:
            filters = parse(request.query_string.decode("utf-8", "replace"))
            made = _content(experiments, experiment.snapshot(), file, filters)
        except (ValueError, FileNotFoundError) as error:
            return _refused(400, f"{error}.")
        except Exception:  # the reader gets a sentence, the log the rest
            _LOG.exception("%s of %s cannot be made", file, name)
            return _refused(500, "This file cannot be made. The log of rcsweep dash says why.")
        if made is None:
            return _refused(404, f"There is no file {file!r}.")
        text, kind = made
        response = Response(text, content_type=f"{kind}; charset=utf-8")
        # `file` is one of the names that were looked up; the experiment's may hold anything.
        response.headers.set("Content-Disposition", "attachment", filename=file)
        return response


def _content(experiments: Experiments, shot: Snapshot, file: str, filters: Filters) -> tuple[str, str] | None:
    """Text and kind of a file; None where there is no such file."""
    data = shot.data
    if file == "trials.csv":
        rows = sorted_rows(matching(data.frame, filters), filters.sort)
        return rows.to_csv(index=False, lineterminator="\n"), _CSV
    if file == "report.html":
        return build_report(data.storage), _HTML
    if file == "sweep.json" and shot.spec is not None:
        spec = {
            "recipe": recipe_to_dict(shot.spec.recipe),
            "grids": [grid.to_dict() for grid in shot.spec.grids],
            "provenance": shot.spec.provenance,
        }
        return json.dumps(spec, indent=1) + "\n", _JSON
    if file == "comparison.csv" and (other := experiments.find_beside(filters.other)) is not None:
        return to_csv(comparison_table(shot, other.snapshot(), filters)), _CSV
    exhibit = file.removesuffix(".csv")
    if file.endswith(".csv") and exhibit in EXHIBITS:
        page = PageData(snapshot=shot, experiments=experiments)
        return to_csv(exhibit_table(page, filters, exhibit)), _CSV
    return None


def _refused(status: int, sentence: str) -> Response:
    return Response(sentence + "\n", status=status, content_type=f"{_TEXT}; charset=utf-8")
