"""Settings: what was asked for, where it comes from, and the files to take away."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from analysis.dashboard.addresses import download_path
from analysis.dashboard.data_table import pairs_table
from analysis.dashboard.filters import Filters, level_text
from analysis.dashboard.marks import notice
from analysis.dashboard.page_data import Page, PageData
from analysis.settings_rows import flat
from rc_core.cells import Grid
from rc_core.recipes import recipe_to_dict

# File to download: what it is.
_FILES = {
    "report.html": "The report: one file with every figure, to read without a server or to send",
    "trials.csv": "The table of results: one row a cell, every column",
    "sweep.json": "Recipe, grids and provenance as JSON",
}


def content(data: PageData, filters: Filters) -> Component:
    """Files, command, grid, recipe, provenance."""
    spec = data.snapshot.spec
    files = [
        html.Li([html.A(name, href=download_path(data.name, name), download=name), f": {what}."])
        for name, what in _FILES.items()
        if spec is not None or name != "sweep.json"
    ]
    parts: list[Component] = [
        html.H1("Settings and files", tabIndex=-1),
        html.H2("Files"),
        html.Ul(files, id="files"),
    ]
    if spec is None:
        why = "There is no sweep.json here yet: nothing has begun, or the folder holds single cells."
        return html.Div([*parts, notice(why)])
    provenance = dict(spec.provenance)
    command, versions = provenance.pop("command", None), provenance.pop("versions", {})
    runs = provenance.pop("runs", [])
    sections: list[tuple[str, str, list[Component]]] = [
        ("Command", "command", [html.Pre(str(command)) if command else notice("It is not recorded.")]),
        ("Grid", "grid", [html.P(_grid_text(grid)) for grid in spec.grids]),
        ("Recipe", "recipe", [_pairs(flat(recipe_to_dict(spec.recipe)), "Recipe")]),
        ("Provenance", "provenance", [_pairs([*flat(provenance), ("runs", str(len(runs)))], "Provenance")]),
        ("Versions", "versions", [_pairs(flat(versions), "Versions")]),
    ]
    for title, name, inside in sections:
        parts += [html.H2(title), html.Div(inside, id=f"settings-{name}")]
    return html.Div(parts)


def _pairs(rows: list[tuple[str, str]], label: str) -> Component:
    return pairs_table(rows, label=label, header=("what", "value"))


def _grid_text(grid: Grid) -> str:
    return (
        f"randomization {', '.join(map(level_text, grid.randomizations))}; "
        f"sparsity {', '.join(map(level_text, grid.sparsities)) or 'none'}; "
        f"seeds {', '.join(map(str, grid.seeds))}"
    )


PAGE = Page(slug="settings", title="Settings", content=content)
