"""One trial: its numbers, curves, settings, provenance, attempts, log, relatives, and how to run it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import download_path, page_path, trial_path
from analysis.dashboard.cell_files import CellFiles, LogTail, read_cell_files
from analysis.dashboard.commands import commands_of
from analysis.dashboard.data_table import pairs_table, table
from analysis.dashboard.drawing import for_page
from analysis.dashboard.exhibit_block import block
from analysis.dashboard.filters import Filters, level_text
from analysis.dashboard.marks import aria, notice, number_text, status_mark
from analysis.dashboard.page_data import Page, PageData
from analysis.exhibits.gallery import EXHIBITS
from analysis.settings_rows import flat, recipe_rows
from rc_core.cell_states import CellState
from rc_core.experiment import COLUMNS
from rc_core.recipes import recipe_to_dict


def content(data: PageData, filters: Filters) -> Component:
    """The page of `data.cell_id`; a sentence where the experiment has no such cell."""
    state = data.snapshot.state(data.cell_id)
    if state is None:
        return html.Div(
            [
                html.H1("No such trial", tabIndex=-1),
                notice(f"{data.name} has no cell {data.cell_id!r}."),
                html.A("All trials", href=page_path(data.name, "trials")),
            ]
        )
    row = state.row
    # The id is one that the experiment has: no name from an address becomes a path.
    files = read_cell_files(data.snapshot.data.storage.folder(row["cell_id"]))
    return html.Div(
        [
            html.H1(row["cell_id"], tabIndex=-1, className="cell"),
            html.P([status_mark(row["status"]), f" · {_place(row)}"], id="trial-status"),
            html.Div(_errors(state, files), id="trial-error"),
            html.Div(_relatives(data, filters, row), id="relatives"),
            html.H2("Result"),
            html.Div(_result(row), id="result"),
            _curves(data, filters, row),
            html.H2("Run it again"),
            html.Div(_commands(data, row), id="commands"),
            html.H2("Attempts"),
            html.Div(_attempts(state), id="attempts"),
            html.H2("Log"),
            html.Div(_log(files.log), id="log"),
            html.H2("Settings"),
            html.Div(_settings(data, files.record), id="settings"),
            html.H2("Provenance"),
            html.Div(_provenance(files.record), id="provenance"),
        ]
    )


def _place(row: Mapping[str, Any]) -> str:
    sparsity = row["sparsity_target"]
    kind = "dense training" if sparsity is None else f"pruning to S = {level_text(sparsity)}"
    return f"{kind} at p = {level_text(row['randomization'])}, seed {row['seed']}"


def _errors(state: CellState, files: CellFiles) -> list[Component]:
    found = [notice(f"Cannot be read: {problem}") for problem in files.problems]
    if state.is_orphaned:
        found.append(
            notice("Its process was cut short: the next run goes on from the newest checkpoint of the cell.")
        )
    if state.row["error"]:
        found.append(html.P(str(state.row["error"]), className="notice error"))
    if trace := files.failure.get("traceback"):
        found.append(html.Details([html.Summary("Traceback"), html.Pre(str(trace))], id="traceback"))
    return found


def _relatives(data: PageData, filters: Filters, row: Mapping[str, Any]) -> list[Component]:
    kept = filters.place_only()

    def link(cell_id: str, text: str) -> Component:
        return html.A(text, href=trial_path(data.name, cell_id, kept))

    if row["parent_id"]:
        return [html.P(["Pruned from its parent ", link(row["parent_id"], row["parent_id"])])]
    children = [state.row for state in data.snapshot.states if state.row.get("parent_id") == row["cell_id"]]
    if not children:
        return [notice("Nothing was pruned from it.")]
    items = [
        html.Li(
            [
                link(child["cell_id"], f"S = {level_text(child['sparsity_target'])} "),
                status_mark(child["status"]),
            ]
        )
        for child in children
    ]
    return [html.P("Pruned from it:"), html.Ul(items, className="row-list")]


def _result(row: Mapping[str, Any]) -> Component:
    names = [name for name in COLUMNS if name not in ("cell_id", "status", "error", "parent_id")]
    rows = [(name, number_text(row[name])) for name in names if row[name] is not None]
    return pairs_table(rows, label="Result", header=("column", "value"))


def _curves(data: PageData, filters: Filters, row: Mapping[str, Any]) -> Component:
    """Its curves, after its parent's, or its own with those of its children."""
    frame = data.snapshot.data.frame
    family = frame["cell_id"].isin([row["cell_id"], *([row["parent_id"]] if row["parent_id"] else [])])
    shown = data.snapshot.data.restricted(frame[family])
    kind, choices = EXHIBITS["curves"], filters.choices_of("curves")
    if not (shown.frame["status"] == "done").any():
        return html.Section([html.H2("Curves"), notice("Curves are there once the cell is finished.")])
    place = Filters(
        randomizations=(float(row["randomization"]),),
        sparsities=tuple({None, row["sparsity_target"]}),
        seeds=(int(row["seed"]),),
        choices=filters.choices,
    )
    key = (
        data.snapshot.location,
        data.snapshot.version,
        "trial",
        row["cell_id"],
        tuple(sorted(choices.items())),
        data.is_dark,
    )
    return block(
        "curves",
        "Curves",
        controls=lambda: kind.controls(shown),
        draw=lambda: data.drawings.get(
            key,
            lambda: for_page(kind.exhibit(shown, choices), is_dark=data.is_dark, revision=row["cell_id"]),
        ),
        choices=choices,
        csv_address=download_path(data.name, "curves.csv", place),
    )


def _commands(data: PageData, row: Mapping[str, Any]) -> list[Component]:
    spec = data.snapshot.spec
    found = commands_of(
        row, data.experiments.words(data.name), data.snapshot.location, None if spec is None else spec.recipe
    )
    return [html.Div([html.P(why), html.Pre(command)]) for why, command in found] or [
        notice("No command of this version runs this cell.")
    ]


def _attempts(state: CellState) -> Component:
    if not state.attempts:
        return notice("None is recorded.")
    last = len(state.attempts)
    rows = [
        (
            number,
            str(attempt.get("started", "–")),
            str((state.ended if number == last else None) or "–"),
            str(attempt.get("host", "–")),
            str(attempt.get("pid", "–")),
            str(attempt.get("stack", "–")),
        )
        for number, attempt in enumerate(state.attempts, 1)
    ]
    header = ("attempt", "started", "ended", "host", "process", "stack")
    return table(header, rows, label="Attempts", num_label_columns=len(header))


def _log(log: LogTail) -> list[Component]:
    if not log.text:
        return [notice("It has said nothing yet.")]
    note = [notice(f"The last {len(log.text):,} characters; {log.num_left_out:,} bytes before them.")]
    text = html.Pre(log.text, className="log", tabIndex=0, role="region", **aria(label="Log"))
    return [*(note if log.num_left_out else []), text]


def _settings(data: PageData, record: Mapping[str, Any]) -> list[Component]:
    """The cell's own settings; the experiment's where the cell has none yet, and where the two differ."""
    spec = data.snapshot.spec
    ours = None if spec is None else recipe_to_dict(spec.recipe)
    own = record.get("recipe")
    if not isinstance(own, dict):
        own = None
    if own is None and ours is None:
        return [notice("They are not recorded.")]
    rows = recipe_rows(own or ours or {}, ours)
    num_differing = sum(is_different for *_, is_different in rows)
    said = (
        "As of the experiment; the cell is not finished."
        if own is None
        else "The experiment has no recipe to compare with."
        if ours is None
        else f"{num_differing} differ from the experiment's recipe."
        if num_differing
        else "The same as the experiment's recipe."
    )
    return [
        html.P(said),
        table(("setting", "cell", "experiment"), _marked(rows), label="Settings", num_label_columns=3),
    ]


def _marked(rows: Sequence[tuple[str, str, str, bool]]) -> list[tuple[str, str, object]]:
    return [
        (name, own, html.Strong(f"≠ {theirs}", className="status failed") if is_different else theirs)
        for name, own, theirs, is_different in rows
    ]


def _provenance(record: Mapping[str, Any]) -> Component:
    found = record.get("provenance")
    if not isinstance(found, dict) or not found:
        return notice("It is recorded when the cell is finished.")
    shown = {name: value for name, value in found.items() if name != "attempts"}
    return pairs_table(flat(shown), label="Provenance", header=("what", "value"))


PAGE = Page(slug="trial", title="Trial", content=content)
