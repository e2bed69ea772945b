"""Overview: how far the experiment is, what it says so far, and what speaks against believing it."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import page_path, trial_path
from analysis.dashboard.data_table import table
from analysis.dashboard.filters import Filters
from analysis.dashboard.live_experiment import Snapshot, counts_of
from analysis.dashboard.marks import aria, notice, status_mark, utc_text
from analysis.dashboard.page_data import Page, PageData
from analysis.figures.theme import STATUSES
from analysis.headline import RULE, headline, unfinished_cells, warnings
from rc_core.durations import format_seconds
from rc_core.provenance import unix_seconds

_MAX_LISTED = 20


def content(data: PageData, filters: Filters) -> Component:
    """Progress, counts, headline, warnings; of all cells, whatever is filtered elsewhere."""
    shot = data.snapshot
    frame = shot.data.frame
    return html.Div(
        [
            html.H1(data.name, tabIndex=-1),
            html.P(" · ".join(_facts(shot)), className="muted", id="facts"),
            html.Div(_progress(shot), id="progress"),
            html.Dl(_measures(shot), className="measures", id="measures"),
            html.H2("Cells"),
            html.Div(_counts(data, filters), id="counts"),
            html.H2("What it says so far"),
            html.P(headline(frame), className="headline", id="headline"),
            html.P(RULE, className="muted"),
            html.Div(_warnings(shot), id="warnings"),
            html.Div(_failures(data, filters), id="failures"),
        ]
    )


def _facts(shot: Snapshot) -> list[str]:
    frame = shot.data.frame
    facts = [shot.location]
    facts += [
        ", ".join(sorted(map(str, set(frame[name].dropna())))) for name in ("recipe", "dataset", "model")
    ]
    if shot.spec is not None and shot.spec.provenance.get("created"):
        facts.append(f"begun {utc_text(unix_seconds(shot.spec.provenance['created']))}")
    return [fact for fact in facts if fact]


def _progress(shot: Snapshot) -> list[Component]:
    """A bar whose parts are as long as their counts, and the sentence that it illustrates."""
    counts = counts_of(shot.states)
    num_done, num_all = counts.get("done", 0), len(shot.states)
    if not num_all:
        return [notice("There is no cell yet.")]
    parts = [
        html.Span(className=f"part {status}", style={"flexGrow": counts[status]})
        for status in STATUSES
        if counts.get(status)
    ]
    text = f"{num_done:,} of {num_all:,} cells finished, {num_done / num_all:.0%}"
    return [
        html.Div(parts, className="bar", role="img", **aria(label=text)),
        html.P(text),
    ]


def _measures(shot: Snapshot) -> list[Component]:
    done = shot.data.frame.loc[shot.data.frame["status"] == "done", "wall_seconds"]
    spent = float(done.sum())
    eta = (shot.driver or {}).get("eta_seconds") if shot.driver_state == "alive" else None
    measures = [
        ("Sweep", _driver_text(shot)),
        ("Time left", f"about {format_seconds(float(eta))}" if eta is not None else "–"),
        ("Pace", _pace_text(shot)),
        ("Device time", f"{spent / 3600:,.2f} h in {len(done):,} finished cells"),
    ]
    return [html.Div([html.Dt(name), html.Dd(value)]) for name, value in measures]


def _driver_text(shot: Snapshot) -> str:
    driver = shot.driver
    if driver is None:
        return "none has run here"
    who = f"process {driver.get('pid')} on {driver.get('host')}"
    if shot.driver_state == "alive":
        return f"running: {who}, since {utc_text(driver.get('started'))}"
    if shot.driver_state == "ended":
        return f"ended {utc_text(driver.get('ended'))}"
    return f"silent since {utc_text(driver.get('time'))}: {who} was killed, or is cut off from the storage"


def _pace_text(shot: Snapshot) -> str:
    """Cells that the last driver finished by the time it took."""
    driver = shot.driver
    if driver is None or driver.get("started") is None:
        return "–"
    started = float(driver["started"])
    seconds = float(driver["time"]) - started
    ends = [state.ended for state in shot.states if state.row["status"] == "done" and state.ended]
    # One second of grace: older records have times in whole seconds.
    num_cells = sum(unix_seconds(ended) >= started - 1 for ended in ends)
    if seconds <= 0 or not num_cells:
        return "–"
    return f"{num_cells:,} cells in {format_seconds(seconds)}, {60 * num_cells / seconds:.1f} a minute"


def _counts(data: PageData, filters: Filters) -> Component:
    counts = counts_of(data.snapshot.states)
    rows = [
        (
            html.A(
                status_mark(status),
                href=page_path(data.name, "trials", Filters(statuses=(status,), is_live=filters.is_live)),
            ),
            counts.get(status, 0),
        )
        for status in STATUSES
    ]
    return table(("status", "cells"), rows, label="Cells by status")


def _warnings(shot: Snapshot) -> list[Component]:
    found = warnings(shot.data.frame)
    if not found:
        return []
    items = html.Ul([html.Li(text) for text in found])
    return [html.Section([html.H2("Before you believe it"), items], className="warnings")]


def _failures(data: PageData, filters: Filters) -> list[Component]:
    failed = [row for row in unfinished_cells(data.snapshot.data.frame) if row[2]]
    if not failed:
        return []
    rows = [
        (
            html.A(cell_id, href=trial_path(data.name, cell_id, filters.place_only())),
            status_mark(status),
            html.Span(error, className="error"),
        )
        for cell_id, status, error in failed[:_MAX_LISTED]
    ]
    more = len(failed) - _MAX_LISTED
    return [
        html.H2("Cells with errors"),
        table(("cell", "status", "error"), rows, label="Cells with errors", num_label_columns=3),
        *([notice(f"{more:,} more are under Trials.")] if more > 0 else []),
        html.P(["Try them again: ", html.Code(f"rcsweep retry {data.experiments.words(data.name)}")]),
    ]


PAGE = Page(slug="", title="Overview", content=content)
