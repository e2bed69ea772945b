"""The report: one HTML file to read or to send, made from an experiment folder."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.exhibits.exhibit import Table
from analysis.exhibits.gallery import EXHIBITS
from analysis.exhibits.html_block import Variant, exhibit_block, table_block
from analysis.experiment_data import ExperimentData
from analysis.headline import RULE, headline, unfinished_cells, warnings
from analysis.html_page import Html, details, page, text
from analysis.published import RECIPE as PUBLISHED_RECIPE
from analysis.settings_rows import flat
from rc_core.recipes import recipe_to_dict
from rc_core.storage import Storage


class Section(NamedTuple):
    """A part of the report under one heading.

    Attributes:
        title: heading.
        text: what to know before the figures; may be empty.
        exhibits: name of the exhibit, and the controls that the reader has, each with the options offered
            (None: all of them). Of the other controls the default is shown.
    """

    title: str
    text: str
    exhibits: Mapping[str, Mapping[str, tuple[str, ...] | None]]


# Every variant is in the file: few where each is big, as curves are.
_METRICS = ("train_accuracy", "test_accuracy")
SECTIONS = (
    Section(
        "Accuracy over the grid",
        "",
        {
            "tradeoff": {"metric": _METRICS, "value": None, "axis": None},
            "heatmap": {"metric": _METRICS},
            "threshold": {"level": None},
        },
    ),
    Section(
        "Kept and redrawn labels apart",
        "At high sparsity a part of any order above is label noise itself: a network that has forgotten the "
        "redrawn labels is right on them only by chance, however well it does on the others.",
        {"memorization": {}, "forgetting": {}},
    ),
    Section("Generalization", "", {"gap": {"labels": None}}),
    Section("Against the published numbers", "", {"published": {}}),
    Section("Training and surgery", "", {"curves": {"axis": None}, "surgery": {}}),
    Section("The sweep itself", "", {"slots": {}, "cost": {}}),
)


def build_report(location: str | Path | Storage) -> str:
    """The report of an experiment as one self-contained HTML document.

    Args:
        location: as of `analysis.results.load`; unfinished sweeps are welcome.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged; the message names it.
    """
    data = ExperimentData.load(location)
    sections = [section for section in SECTIONS if _is_shown(section, data)]
    titles = [*(section.title for section in sections), "Every cell", "Settings and provenance"]
    parts = [
        _head(data),
        _warnings(data),
        _contents(titles),
        *(_section(section, data) for section in sections),
        _every_cell(data),
        _settings(data),
    ]
    return page(f"{data.name}: sweep report", Html("\n".join(parts)))


def write_report(location: str | Path | Storage, out: str | Path) -> Path:
    """Write the report of an experiment to a file; it appears as a whole or not at all.

    Raises:
        ValueError: the file's suffix is not `.html`; or as of `build_report`.
    """
    target = Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"out = {str(out)!r}: the report is HTML; the name must end in .html")
    content = build_report(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=".html")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes it private to the writer
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _head(data: ExperimentData) -> Html:
    frame, spec = data.frame, data.spec
    num_done = int((frame["status"] == "done").sum())
    facts = [f"{num_done} of {len(frame)} cells finished"]
    facts += [", ".join(sorted(set(frame[column].dropna()))) for column in ("dataset", "model")]
    if spec is not None and spec.provenance.get("created"):
        facts.append(f"started {spec.provenance['created']}")
    return Html(
        f"<h1>{text(data.name)}: accuracy under pruning, with randomized labels</h1>\n"
        f'<p class="meta">{text(" · ".join(filter(None, facts)))}</p>\n'
        f'<p class="headline">{text(headline(frame))}</p>\n<p class="note">{text(RULE)}</p>'
    )


def _warnings(data: ExperimentData) -> Html:
    found = warnings(data.frame)
    if not found:
        return Html("")
    items = "".join(f"<li>{text(warning)}</li>" for warning in found)
    unfinished = unfinished_cells(data.frame)
    listing = Html("")
    if unfinished:
        rows = Table("Unfinished cells", ("cell", "status", "error"), [*unfinished], num_label_columns=3)
        num_failed = sum(status == "failed" for _, status, _ in unfinished)
        listing = details(
            f"The {len(unfinished)} unfinished cells ({num_failed} failed)",
            table_block(rows, "unfinished", f"{data.name}-unfinished"),
            is_open=num_failed > 0,
        )
    return Html(
        f'<section class="warnings"><h2>Before you believe it</h2><ul>{items}</ul>{listing}</section>'
    )


def _is_shown(section: Section, data: ExperimentData) -> bool:
    """The published numbers stand beside a sweep of their recipe; of others they say nothing."""
    return "published" not in section.exhibits or set(data.frame["recipe"].dropna()) == {PUBLISHED_RECIPE}


def _contents(titles: Sequence[str]) -> Html:
    links = "".join(f'<a href="#{_anchor(title)}">{text(title)}</a>' for title in titles)
    return Html(f'<nav aria-label="Contents">{links}</nav>')


def _heading(title: str) -> Html:
    return Html(f'<h2 id="{_anchor(title)}">{text(title)}</h2>')


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())


def _section(section: Section, data: ExperimentData) -> Html:
    parts = [_heading(section.title), f"<p>{text(section.text)}</p>" if section.text else ""]
    for name, offered in section.exhibits.items():
        if len(section.exhibits) > 1:
            parts.append(f"<h3>{text(EXHIBITS[name].title)}</h3>")
        parts.append(_exhibit(name, offered, data))
    return Html("\n".join(parts))


def _exhibit(name: str, offered: Mapping[str, tuple[str, ...] | None], data: ExperimentData) -> Html:
    """An exhibit with its variants: every combination of the options of some controls."""
    kind = EXHIBITS[name]
    controls = [
        control._replace(options=tuple(option for option in control.options if option[0] in values))
        for control in kind.controls(data)
        if control.name in offered and len(values := offered[control.name] or control.values) > 1
    ]
    names = [control.name for control in controls]
    variants = [
        Variant(choices, kind.exhibit(data, dict(zip(names, choices, strict=True))))
        for choices in itertools.product(*(control.values for control in controls))
    ]
    return exhibit_block(name, controls, variants, data.name)


def _every_cell(data: ExperimentData) -> Html:
    columns = {
        "cell_id": "cell",
        "status": "status",
        "sparsity_target": "target sparsity",
        "sparsity": "achieved",
        "train_accuracy": "training accuracy",
        "test_accuracy": "test accuracy",
    }
    rows = list(data.frame[list(columns)].itertuples(index=False, name=None))
    cells = Table("Every cell", tuple(columns.values()), rows, num_label_columns=2)
    return Html(
        _heading("Every cell")
        + details(f"{len(rows)} cells", table_block(cells, "cells", f"{data.name}-cells"))
        + "<p>All columns of the result table: <code>rcsweep export</code>.</p>"
    )


def _settings(data: ExperimentData) -> Html:
    spec = data.spec
    if spec is None:
        settings = Html(
            "<p>This folder holds single cells without a sweep.json: their settings are in each cell's "
            "record.</p>"
        )
    else:
        provenance = dict(spec.provenance)
        command, versions = provenance.pop("command", None), provenance.pop("versions", {})
        grid = "".join(f"<p>{_grid_text(each.to_dict())}</p>" for each in spec.grids)
        settings = Html(
            (f"<h3>Command</h3><pre>{text(command)}</pre>" if command else "")
            + f"<h3>Grid</h3>{grid}"
            + _values("Recipe", ("setting", "value"), recipe_to_dict(spec.recipe), data.name)
            + _values("Provenance", ("what", "value"), provenance, data.name)
            + _values("Versions", ("package", "version"), versions, data.name)
        )
    done = data.frame[data.frame["status"] == "done"]
    cost = (
        f"{len(done)} finished cells took {done['wall_seconds'].sum():,.0f} s of their own time in sum, on "
        f"{', '.join(sorted(set(done['device'].dropna()))) or 'no device recorded'}."
    )
    labels = done[["randomization", "seed", "label_sha256", "data_sha256"]].drop_duplicates()
    rows = list(labels.itertuples(index=False, name=None))
    hashes = Table("Hashes", ("p", "seed", "labels, SHA-256", "data, SHA-256"), rows, num_label_columns=4)
    return Html(
        f"{_heading('Settings and provenance')}<p>{text(cost)}</p>{settings}"
        + details(
            f"Label and data hashes ({len(rows)} label vectors)",
            table_block(hashes, "hashes", f"{data.name}-hashes"),
        )
    )


def _values(title: str, header: tuple[str, str], values: Mapping[str, Any], name: str) -> Html:
    rows: list[tuple[object, ...]] = [*flat(values)]
    block = table_block(
        Table(title, header, rows, num_label_columns=2), title.lower(), f"{name}-{title.lower()}"
    )
    return Html(f"<h3>{title}</h3>{block}")


def _grid_text(grid: Mapping[str, Any]) -> Html:
    words: list[tuple[str, Callable[[Any], str]]] = [
        ("randomizations", "{:g}".format),
        ("sparsities", "{:g}".format),
        ("seeds", str),
    ]
    return text("; ".join(f"{name} {', '.join(map(show, grid[name])) or 'none'}" for name, show in words))


def _note(sentence: str) -> Html:
    return Html(f"<p>{text(sentence)}</p>" if sentence else "")
