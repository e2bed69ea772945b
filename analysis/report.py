"""The report: one HTML file to read or to send, made from an experiment folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.attempts import AttemptLog, load_attempts
from analysis.curves import curve_scales
from analysis.excerpts import every_nth, first_rows
from analysis.figures import curves, grid_heatmap, slots, tradeoff
from analysis.grid import METRICS, GridCell, sparsity_label, summarize, what_is_left_out
from analysis.headline import RULE, headline, unfinished_cells, warnings
from analysis.html_page import Html, Variant, details, figure_block, mark, page, table, text
from analysis.results import experiment_name, load, load_history, load_spec
from analysis.statistics import Threshold, compressibility_threshold
from rc_core.experiment import SweepSpec
from rc_core.recipes import Recipe, recipe_to_dict
from rc_core.storage import Storage

# Where a reader finds the rows that a long table leaves out.
_EXPORT = "rcsweep export"
# Rows of the table behind the curves; the figure itself shows every logged step.
_MAX_CURVE_ROWS = 40
# Options of the trade-off's sparsity axis.
_SPARSITY_AXES: dict[str, tradeoff.Scale] = {"S": "sparsity", "−log₂(1 − S)": "halvings"}


def build_report(location: str | Path | Storage) -> str:
    """The report of an experiment as one self-contained HTML document.

    Args:
        location: as of `analysis.results.load`; unfinished sweeps are welcome.

    Raises:
        FileNotFoundError: nothing there is an experiment or a cell.
        ValueError: a file is damaged; the message names it.
    """
    frame, spec, name = load(location), load_spec(location), experiment_name(location)
    history = load_history(location, frame.loc[frame["status"] == "done", "cell_id"])
    parts = [
        _head(frame, spec, name),
        _warnings(frame),
        "<h2>Training accuracy over the grid</h2>",
        _summary_table(frame),
        _tradeoff(frame, "train_accuracy"),
        _heatmap(frame),
        _threshold_table(frame),
        "<h2>Kept and redrawn labels apart</h2>",
        "<p>At high sparsity a part of any order above is label noise itself: a network that has forgotten "
        "the redrawn labels is right on them only by chance, however well it does on the others.</p>",
        f'<div class="pair">{_tradeoff(frame, "accuracy_kept")}{_tradeoff(frame, "accuracy_redrawn")}</div>',
        "<h2>Test accuracy</h2>",
        _tradeoff(frame, "test_accuracy"),
        "<h2>Training curves</h2>",
        _curves(frame, history, None if spec is None else spec.recipe),
        "<h2>Slots over time</h2>",
        _slots(load_attempts(location)),
        _settings(frame, spec),
    ]
    return page(f"{name}: sweep report", Html("\n".join(parts)))


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


def _head(frame: pd.DataFrame, spec: SweepSpec | None, name: str) -> Html:
    num_done = int((frame["status"] == "done").sum())
    facts = [f"{num_done} of {len(frame)} cells finished"]
    facts += [", ".join(sorted(set(frame[column].dropna()))) for column in ("dataset", "model")]
    if spec is not None and spec.provenance.get("created"):
        facts.append(f"started {spec.provenance['created']}")
    return Html(
        f"<h1>{text(name)}: accuracy under pruning, with randomized labels</h1>\n"
        f'<p class="meta">{text(" · ".join(facts))}</p>\n'
        f'<p class="headline">{text(headline(frame))}</p>\n<p class="note">{text(RULE)}</p>'
    )


def _warnings(frame: pd.DataFrame) -> Html:
    found = warnings(frame)
    if not found:
        return Html("")
    items = "".join(f"<li>{text(warning)}</li>" for warning in found)
    unfinished = unfinished_cells(frame)
    listing = Html("")
    if unfinished:
        shown, note = first_rows(unfinished, _EXPORT)
        rows = table(("cell", "status", "error"), shown, num_label_columns=3, label="Unfinished cells")
        num_failed = sum(status == "failed" for _, status, _ in unfinished)
        listing = details(
            f"The {len(unfinished)} unfinished cells ({num_failed} failed)",
            Html(_note(note) + rows),
            is_open=num_failed > 0,
        )
    return Html(
        f'<section class="warnings"><h2>Before you believe it</h2><ul>{items}</ul>{listing}</section>'
    )


def _summary_table(frame: pd.DataFrame) -> Html:
    summary = summarize(frame)
    header = [
        "p",
        *("dense" if sparsity is None else f"S = {sparsity:g}" for sparsity in summary.sparsities),
    ]
    rows = [[f"{randomization:g}", *map(_summary_text, cells)] for randomization, cells in summary.rows]
    note = (
        f"Mean training accuracy by randomization p and target sparsity, ± half the width of its "
        f"{summary.confidence:.0%} t-interval. {what_is_left_out(summary)}"
    )
    return Html(f'{table(header, rows, label="Mean training accuracy")}<p class="note">{text(note)}</p>')


def _summary_text(cell: GridCell) -> Html:
    if cell.num_seeds == 0:
        return Html("–")
    small = f"<small>n = {cell.interval.n} of {cell.num_seeds}</small>"
    if cell.interval.mean is None:
        return Html(mark(cell.unfinished or "not a number") + small)
    width = "" if cell.interval.half_width is None else f" ± {cell.interval.half_width:.3f}"
    state = f"<small>{mark(cell.unfinished)}</small>" if cell.unfinished else ""
    return Html(f"{cell.interval.mean:.3f}{width}{small}{state}")


def _tradeoff(frame: pd.DataFrame, metric: str) -> Html:
    info = tradeoff.get_tradeoff_info(frame, metric)
    drop = tradeoff.get_tradeoff_info(frame, metric, relative=True)
    header = ["p", "sparsity", "mean", "low", "high", "n", "of", "drop", "low", "high", "every seed"]
    rows = [
        [
            f"{line.randomization:g}",
            sparsity_label(point.sparsity),
            *(_number(value) for value in point.interval[:3]),
            point.interval.n,
            point.num_seeds,
            *(_number(value) for value in dropped.interval[:3]),
            ", ".join(f"{value.seed}: {value.value:.4f}" for value in point.values)
            or point.unfinished
            or "–",
        ]
        for line, dropped_line in zip(info.lines, drop.lines, strict=True)
        for point, dropped in zip(line.points, dropped_line.points, strict=True)
    ]
    numbers = table(header, rows, num_label_columns=2, label=METRICS[metric])
    shown = {
        (value, axis): tradeoff.on_scale(each, scale)
        for value, each in (("as measured", info), ("drop from parent", drop))
        for axis, scale in _SPARSITY_AXES.items()
    }
    variants = [
        Variant(
            {"Accuracy": value, "Sparsity axis": axis}, tradeoff.plot_tradeoff(each), tradeoff.caption(each)
        )
        for (value, axis), each in shown.items()
    ]
    return figure_block(
        variants[0].figure,
        variants[0].caption,
        numbers,
        name=f"tradeoff-{metric.replace('_', '-')}",
        variants=variants,
    )


def _heatmap(frame: pd.DataFrame) -> Html:
    info = grid_heatmap.get_grid_heatmap_info(frame)
    columns = ["cell_id", "status", "sparsity_target", "sparsity", "train_accuracy", "test_accuracy"]
    rows = [
        [cell_id, status, *map(_number, numbers)]
        for cell_id, status, *numbers in frame[columns].itertuples(index=False, name=None)
    ]
    shown, note = every_nth(rows, _EXPORT)
    header = ["cell", "status", "target sparsity", "achieved", "training accuracy", "test accuracy"]
    return figure_block(
        grid_heatmap.plot_grid_heatmap(info),
        grid_heatmap.caption(info),
        Html(_note(note) + table(header, shown, num_label_columns=2, label="Every cell")),
        name="grid",
        min_width_px=100 + 58 * len(info.sparsities),
    )


def _threshold_table(frame: pd.DataFrame) -> Html:
    thresholds = compressibility_threshold(frame)
    tested = frame["sparsity_target"].dropna()
    if not len(tested):
        return Html("")
    seeds = sorted({threshold.seed for threshold in thresholds})
    by_cell = {(found.randomization, found.seed): found for found in thresholds}
    rows = [
        [
            f"{randomization:g}",
            *(
                threshold_text(by_cell[randomization, seed], float(tested.min()))
                if (randomization, seed) in by_cell
                else "–"
                for seed in seeds
            ),
        ]
        for randomization in sorted({found.randomization for found in thresholds})
    ]
    return Html(
        "<h3>Compressibility threshold s*</h3>\n"
        + table(["p", *(f"seed {seed}" for seed in seeds)], rows, label="Compressibility threshold")
        + '<p class="note">The largest tested sparsity such that it and all lower ones, the dense parent '
        "included, reach a training accuracy of at least 0.99. The grid bounds it: “&lt;” where the parent "
        "or the lowest sparsity fails already, “≥” where every tested one passes, “?” where an unfinished "
        "cell stands before the first failure.</p>"
    )


def threshold_text(threshold: Threshold, lowest_tested: float) -> str:
    """s* as text: `0.7`, `< 0.5` (left-censored), `≥ 0.9` (right-censored), `? (≥ 0.5)` or `?`."""
    if threshold.censoring == "left":
        return f"< {lowest_tested:g}"
    if threshold.sparsity is None:
        return "?"
    at_least = f"≥ {threshold.sparsity:g}"
    return {"none": f"{threshold.sparsity:g}", "right": at_least}.get(threshold.censoring, f"? ({at_least})")


def _curves(frame: pd.DataFrame, history: pd.DataFrame, recipe: Recipe | None) -> Html:
    infos = [
        curves.get_curves_info(frame, history, x=scale, recipe=recipe)
        for scale in curve_scales(frame, recipe)
    ]
    info = infos[0]
    columns: dict[str, pd.Series[Any]] = {}
    for panel in info.panels:
        for curve in panel.curves:
            name = "parent" if curve.sparsity is None else f"S={sparsity_label(curve.sparsity)}"
            columns[f"p={panel.randomization:g} {name}"] = pd.Series(curve.values, index=curve.steps)
    numbers = Html("<p>None yet.</p>")
    if columns:
        joined = pd.DataFrame(columns).sort_index()
        every = -(-len(joined) // _MAX_CURVE_ROWS)
        shown = joined.iloc[::every]
        rows = [[step, *map(_number, row)] for step, row in zip(shown.index, shown.to_numpy(), strict=True)]
        note = f"<p>Every {every}. logged step of {len(joined)}.</p>" if every > 1 else ""
        numbers = Html(note + table(["step", *columns], rows, label="Curves"))
    variants = [
        Variant(
            {"Horizontal axis": each.scale.replace("_seconds", " time")},
            curves.plot_curves(each),
            curves.caption(each),
        )
        for each in infos
    ]
    return figure_block(variants[0].figure, variants[0].caption, numbers, name="curves", variants=variants)


def _slots(log: AttemptLog) -> Html:
    info = slots.get_slots_info(log)
    rows = [
        [
            number + 1,
            attempt.cell_id,
            *run.slots[bar.slot],
            attempt.stack or "",
            f"{attempt.number} of {attempt.num_attempts}",
            attempt.outcome,
            f"{attempt.started - run.started:.3f}",
            "" if attempt.ended is None else f"{attempt.ended - run.started:.3f}",
        ]
        for number, run in enumerate(info.runs)
        for bar in run.bars
        for attempt in bar.attempts
    ]
    shown, note = every_nth(rows, "analysis.attempts.load_attempts")
    header = ["run", "cell", "host", "slot", "stack", "attempt", "outcome", "start (s)", "end (s)"]
    runs = "".join(
        f"<li>{text(slots.run_title(run, number, len(info.runs)))}</li>"
        for number, run in enumerate(info.runs)
    )
    return figure_block(
        slots.plot_slots(info),
        slots.caption(info),
        Html(f"<ul>{runs}</ul>{_note(note)}{table(header, shown, num_label_columns=7, label='Attempts')}"),
        name="slots",
        min_width_px=760,
    )


def _settings(frame: pd.DataFrame, spec: SweepSpec | None) -> Html:
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
            + f"<h3>Grid</h3>{grid}<h3>Recipe</h3>"
            + table(
                ("setting", "value"), _flat(recipe_to_dict(spec.recipe)), num_label_columns=2, label="Recipe"
            )
            + "<h3>Provenance</h3>"
            + table(("what", "value"), _flat(provenance), num_label_columns=2, label="Provenance")
            + "<h3>Versions</h3>"
            + table(("package", "version"), _flat(versions), num_label_columns=2, label="Versions")
        )
    done = frame[frame["status"] == "done"]
    cost = (
        f"{len(done)} finished cells took {done['wall_seconds'].sum():,.0f} s of their own time in sum, on "
        f"{', '.join(sorted(set(done['device'].dropna()))) or 'no device recorded'}."
    )
    labels = done[["randomization", "seed", "label_sha256", "data_sha256"]].drop_duplicates()
    rows = [[f"{p:g}", *rest] for p, *rest in labels.itertuples(index=False, name=None)]
    shown, note = every_nth(rows, _EXPORT)
    hashes = table(
        ("p", "seed", "labels, SHA-256", "data, SHA-256"), shown, num_label_columns=4, label="Hashes"
    )
    return Html(
        f"<h2>Settings and provenance</h2><p>{text(cost)}</p>{settings}"
        f"{details(f'Label and data hashes ({len(rows)} label vectors)', Html(_note(note) + hashes))}"
    )


def _grid_text(grid: Mapping[str, Any]) -> Html:
    words: list[tuple[str, Callable[[Any], str]]] = [
        ("randomizations", "{:g}".format),
        ("sparsities", "{:g}".format),
        ("seeds", str),
    ]
    return text("; ".join(f"{name} {', '.join(map(show, grid[name])) or 'none'}" for name, show in words))


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, value) of every leaf."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            shown = value if isinstance(value, str) else "not set" if value is None else json.dumps(value)
            rows.append((f"{prefix}{key}", shown))
    return rows


def _note(sentence: str) -> Html:
    return Html(f"<p>{text(sentence)}</p>" if sentence else "")


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.4f}"
