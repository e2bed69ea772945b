"""Slots over time: a bar for every attempt or stack in the slot that held it, one panel per run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import plotly.graph_objects as go

from analysis.attempts import AttemptLog
from analysis.figures import theme
from analysis.grid import sparsity_label
from analysis.slots import Bar, RunSlots, pack_runs, utilisation

# Panels drawn; of more runs, those with the most attempts. The table behind the figure has them all.
MAX_PANELS = 12

_WIDTH_PX = 760  # of a panel on the page, to judge whether bars are wide enough for an outline
_GAP_PX = 74  # between panels: ticks, axis title, the next panel's title
_LEGEND_ROW_PX, _LEGEND_WIDTH_PX = 22, 640
# Style key of a stack whose cells have several target sparsities.
_SEVERAL = "several"
# Cells of a stack listed when pointed at.
_MAX_HOVER_CELLS = 16
# Up to so many slots each has a label; above, each host has one.
_MAX_LABELLED_SLOTS = 16


class SlotsInfo(NamedTuple):
    """What the slots figure shows.

    Attributes:
        runs: in order of time, each with its bars.
        utilisation: over all runs, see `analysis.slots.utilisation`.
        num_attempts: at cells; a stack is one bar of several.
        num_lost: of these, without a recorded end.
        num_failed: of these, failed.
        num_retried_cells: cells with more than one attempt.
        num_untimed: finished cells whose times are not recorded.
        num_cells: cells of the sweep.
    """

    runs: tuple[RunSlots, ...]
    utilisation: float | None
    num_attempts: int
    num_lost: int
    num_failed: int
    num_retried_cells: int
    num_untimed: int
    num_cells: int


def get_slots_info(log: AttemptLog) -> SlotsInfo:
    """The attempts of an experiment in their slots.

    Args:
        log: as of `analysis.attempts.load_attempts`.
    """
    runs = pack_runs(log)
    outcomes = [attempt.outcome for attempt in log.attempts]
    return SlotsInfo(
        runs=runs,
        utilisation=utilisation(runs),
        num_attempts=len(log.attempts),
        num_lost=outcomes.count("lost"),
        num_failed=outcomes.count("failed"),
        num_retried_cells=len({attempt.cell_id for attempt in log.attempts if attempt.num_attempts > 1}),
        num_untimed=log.num_untimed,
        num_cells=log.num_cells,
    )


def caption(info: SlotsInfo) -> str:
    """What is drawn, n, and what is missing."""
    if not info.runs:
        return f"No start and end times are recorded yet (of {info.num_cells} cells)."
    num_runs, num_drawn = len(info.runs), min(len(info.runs), MAX_PANELS)
    runs = "1 run" if num_runs == 1 else f"{num_runs} runs"
    share = "not defined: all cells of a run started at once"
    if info.utilisation is not None:
        share = f"{info.utilisation:.3f}"
    parts = [
        "Each bar is an attempt at a cell, in the slot that held it (bars of a host are packed into the "
        "lowest free slot); hatched: training, darker to lighter: pruning by target sparsity S. One panel "
        "per run of the sweep, its time counted from its first start.",
        f"Slot utilisation over n = {info.num_attempts} attempts in {runs}: {share}. It is the slots' time "
        "in cells / (slots × time), from the first start to the last one (dotted line), after which nothing "
        "was left to start.",
    ]
    if num_stacks := sum(run.num_stacks for run in info.runs):
        stacks = "1 bar is a stack" if num_stacks == 1 else f"{num_stacks} bars are stacks"
        parts.append(f"{stacks}: cells trained together in one process; their time counts once.")
    if num_drawn < num_runs:
        parts.append(f"Drawn are the {num_drawn} of {num_runs} runs with the most attempts.")
    if num_unrecorded := sum(not run.is_recorded for run in info.runs):
        of_runs = "1 run" if num_unrecorded == 1 else f"{num_unrecorded} runs"
        parts.append(
            f"The driver of {of_runs} was killed before it recorded its slots: as many are assumed as were "
            "busy at a time."
        )
    if info.num_failed:
        parts.append(f"{_attempts(info.num_failed)} failed (crossed bars).")
    if info.num_lost:
        parts.append(
            f"{_attempts(info.num_lost)} ended unrecorded (crosses at the start; they count as no busy time)."
        )
    if info.num_retried_cells:
        parts.append(f"{info.num_retried_cells} of {info.num_cells} cells took more than one attempt.")
    if info.num_untimed:
        parts.append(f"{info.num_untimed} finished cells have no recorded times and are not drawn.")
    return " ".join(parts)


def plot_slots(source: SlotsInfo | AttemptLog) -> go.Figure:
    """The slots figure.

    Args:
        source: an info, or the log that it is made from.
    """
    info = source if isinstance(source, SlotsInfo) else get_slots_info(source)
    if not info.runs:
        return theme.note(theme.new_figure(height=160), "No start and end times are recorded yet.")
    numbers = drawn_runs(info.runs)
    styles = _bar_styles(info.runs)
    top_px = 34 + _LEGEND_ROW_PX * _legend_rows([str(style["name"]) for style in styles.values()])
    heights_px = [max(36, len(info.runs[number].slots) * _slot_px(info.runs[number])) for number in numbers]
    plot_px = sum(heights_px) + _GAP_PX * (len(numbers) - 1)
    figure = theme.new_figure(
        height=plot_px + top_px + 50,
        margin={"l": 60, "r": 20, "t": top_px, "b": 50},
        barmode="overlay",
        uniformtext={"minsize": 9, "mode": "hide"},  # a label that does not fit into its bar
        showlegend=True,
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "traceorder": "normal",
        },
    )
    shown: set[Any] = set()
    traces: list[Any] = []
    annotations, shapes = [], []
    top = plot_px
    for panel, (number, height_px) in enumerate(zip(numbers, heights_px, strict=True)):
        run, suffix = info.runs[number], "" if panel == 0 else str(panel + 1)
        unit, unit_seconds = _time_unit(run.seconds)
        ticks = _slot_ticks(run)
        figure.update_layout(
            {
                f"xaxis{suffix}": theme.axis(
                    f"{unit} since the run's first start",
                    anchor=f"y{suffix}",
                    range=[span * max(run.seconds, 1e-3) / unit_seconds for span in (-0.008, 1.01)],
                ),
                f"yaxis{suffix}": theme.axis(
                    "",
                    anchor=f"x{suffix}",
                    domain=[(top - height_px) / plot_px, top / plot_px],
                    range=[len(run.slots) - 0.5, -0.5],
                    tickvals=[place for place, _ in ticks],
                    ticktext=[text for _, text in ticks],
                    showgrid=False,
                ),
            }
        )
        traces += _panel_traces(run, suffix, unit_seconds, styles, shown)
        annotations.append(_title(run, number, len(info.runs), suffix))
        if run.window_seconds:
            shapes.append(_last_start(run.window_seconds / unit_seconds, suffix))
        top -= height_px + _GAP_PX
    figure.add_traces(traces)
    figure.update_layout(annotations=annotations, shapes=shapes)
    return figure


def drawn_runs(runs: Sequence[RunSlots]) -> list[int]:
    """Indices of the runs that get a panel, in order of time."""
    by_size = sorted(range(len(runs)), key=lambda index: -runs[index].num_attempts)
    return sorted(by_size[:MAX_PANELS])


def run_title(run: RunSlots, number: int, num_runs: int) -> str:
    """E.g. `run 2 of 3, from 2026-01-02 03:04 UTC: 54 attempts, 2 slots, utilisation 0.973`."""
    begun = f"{datetime.fromtimestamp(run.started, UTC):%Y-%m-%d %H:%M} UTC"
    which = f"run {number + 1} of {num_runs}, from {begun}" if num_runs > 1 else f"from {begun}"
    attempts, slots = _attempts(run.num_attempts), f"{run.num_slots} slot{'s' * (run.num_slots > 1)}"
    if run.num_stacks:
        attempts += f" in {len(run.bars)} bar{'s' * (len(run.bars) > 1)}"
    share = "" if run.utilisation is None else f", utilisation {run.utilisation:.3f}"
    return f"{which}: {attempts}, {slots}{share}"


def _attempts(count: int) -> str:
    return f"{count} attempt{'s' * (count != 1)}"


def _style_key(bar: Bar) -> str | float | None:
    """Bars of one key share a trace and a legend entry."""
    if bar.outcome != "done":
        return bar.outcome
    sparsities = {attempt.sparsity for attempt in bar.attempts}
    return sparsities.pop() if len(sparsities) == 1 else _SEVERAL


def _bar_styles(runs: Sequence[RunSlots]) -> dict[str | float | None, dict[str, Any]]:
    """Name, colour and pattern by style key, in the legend's order: only those that occur."""
    bars = [bar for run in runs for bar in run.bars]
    keys = {_style_key(bar) for bar in bars}
    # The colour of a sparsity must not depend on whether its cells are done.
    found = {attempt.sparsity for bar in bars for attempt in bar.attempts}
    sparsities = sorted(sparsity for sparsity in found if sparsity is not None)
    hatched = {"shape": "/", "size": 6, "solidity": 0.4, "fgcolor": theme.PAPER}
    crossed = {"shape": "x", "size": 6, "solidity": 0.3, "fgcolor": theme.INK}
    dotted = {"shape": ".", "size": 6, "solidity": 0.3, "fgcolor": theme.INK}
    styles: dict[str | float | None, dict[str, Any]] = {
        None: {"name": "training", "color": theme.MUTED, "pattern": hatched}
    }
    for sparsity, style in zip(sparsities, theme.level_styles(len(sparsities)), strict=True):
        styles[sparsity] = {"name": f"S = {sparsity_label(sparsity)}", "color": style.color, "pattern": {}}
    striped = {"shape": "|", "size": 6, "solidity": 0.3, "fgcolor": theme.MUTED}
    styles[_SEVERAL] = {"name": "several S", "color": theme.GRID, "pattern": striped}
    styles["failed"] = {"name": "failed", "color": theme.GRID, "pattern": crossed}
    styles["running"] = {"name": "running", "color": theme.GRID, "pattern": dotted}
    styles["lost"] = {"name": "end unknown", "color": theme.INK, "pattern": {}}
    return {key: style for key, style in styles.items() if key in keys}


def _panel_traces(
    run: RunSlots, suffix: str, unit_seconds: float, styles: dict[Any, dict[str, Any]], shown: set[Any]
) -> list[Any]:
    """One trace per style; a style's first trace of the figure stands in the legend."""
    most_in_a_slot = max(Counter(bar.slot for bar in run.bars).values())
    outline_px = 1 if _WIDTH_PX / most_in_a_slot >= 5 else 0
    by_key: dict[Any, list[Bar]] = {}
    for bar in run.bars:
        by_key.setdefault(_style_key(bar), []).append(bar)
    traces: list[Any] = []
    for rank, (key, style) in enumerate(styles.items()):
        bars = by_key.get(key, [])
        if not bars:
            continue
        begins = [(bar.started - run.started) / unit_seconds for bar in bars]
        settings = {
            "y": [bar.slot for bar in bars],
            "customdata": [_hover(bar, run) for bar in bars],
            "hovertemplate": "%{customdata}<extra></extra>",
            "xaxis": f"x{suffix}",
            "yaxis": f"y{suffix}",
            "name": style["name"],
            "legendgroup": style["name"],
            "legendrank": 1000 + rank,
            "showlegend": key not in shown,
        }
        shown.add(key)
        if key == "lost":
            marker = {"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": style["color"]}}
            traces.append(go.Scatter(x=begins, mode="markers", marker=marker, cliponaxis=False, **settings))
            continue
        lengths = [((bar.ended or 0) - bar.started) / unit_seconds for bar in bars]
        outline = {"width": outline_px, "color": theme.MUTED if isinstance(key, str) else theme.PAPER}
        marker = {"color": style["color"], "line": outline, "pattern": style["pattern"]}
        if any(len(bar.attempts) > 1 for bar in bars):
            labels = [f"{len(bar.attempts)} cells" if len(bar.attempts) > 1 else "" for bar in bars]
            settings |= {
                "text": labels,
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
            }
            # With a halo, for labels stand on patterns, too.
            is_light = style["color"] == theme.GRID
            ink, halo = (theme.INK, theme.PAPER) if is_light else (theme.PAPER, theme.INK)
            settings["insidetextfont"] = {"color": ink, "shadow": ", ".join([f"0 0 3px {halo}"] * 4)}
        traces.append(go.Bar(base=begins, x=lengths, orientation="h", width=0.84, marker=marker, **settings))
    return traces


def _hover(bar: Bar, run: RunSlots) -> str:
    end = "end not recorded"
    if bar.ended is not None:
        end = f"{bar.ended - bar.started:.1f} s, {bar.outcome}"
    host, number = run.slots[bar.slot]
    where = f"{host}, slot {number}"
    if len(bar.attempts) == 1:
        attempt = bar.attempts[0]
        count = f"attempt {attempt.number} of {attempt.num_attempts}"
        return f"{attempt.cell_id}<br>{end}<br>{count}<br>{where}"
    lines = [
        f"{attempt.cell_id}: {attempt.outcome}"
        + (f", attempt {attempt.number} of {attempt.num_attempts}" if attempt.num_attempts > 1 else "")
        for attempt in bar.attempts
    ]
    if len(lines) > _MAX_HOVER_CELLS:
        lines[_MAX_HOVER_CELLS:] = [f"and {len(lines) - _MAX_HOVER_CELLS} more"]
    return "<br>".join([f"stack of {len(bar.attempts)} cells", end, *lines, where])


def _title(run: RunSlots, number: int, num_runs: int, suffix: str) -> dict[str, Any]:
    return {
        "text": run_title(run, number, num_runs),
        "x": 0,
        "y": 1,
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 3,
    }


def _last_start(x: float, suffix: str) -> dict[str, Any]:
    line = {"color": theme.INK, "width": 1.5, "dash": "dot"}
    place = {"xref": f"x{suffix}", "yref": f"y{suffix} domain"}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line, "layer": "below"} | place


def _legend_rows(names: list[str]) -> int:
    """Rows of a legend on a narrow page; in several rows all entries are as wide as the widest."""
    widths_px = [38 + 8 * len(name) for name in names]
    if sum(widths_px) <= _LEGEND_WIDTH_PX:
        return 1
    return -(-len(names) // (_LEGEND_WIDTH_PX // max(widths_px)))


def _slot_px(run: RunSlots) -> int:
    num_slots = len(run.slots)
    if num_slots <= 8:
        return 26
    return 20 if num_slots <= _MAX_LABELLED_SLOTS else max(4, 400 // num_slots)


def _slot_ticks(run: RunSlots) -> list[tuple[float, str]]:
    """(place, label) of the slots' axis: every slot, or every host in the middle of its slots."""
    hosts = list(dict.fromkeys(host for host, _ in run.slots))
    if len(run.slots) <= _MAX_LABELLED_SLOTS:
        names = ["slot" if len(hosts) == 1 else _short(host) for host, _ in run.slots]
        return [(place, f"{names[place]} {number}") for place, (_, number) in enumerate(run.slots)]
    ticks: list[tuple[float, str]] = []
    for host in hosts:
        places = [place for place, (other, _) in enumerate(run.slots) if other == host]
        middle = (places[0] + places[-1]) / 2
        if not ticks or (middle - ticks[-1][0]) * _slot_px(run) >= 16:
            ticks.append((middle, f"{_short(host)} ({len(places)})"))
    return ticks


def _short(host: str) -> str:
    """A host's name without its domain, cut to what fits beside a figure."""
    name = host.partition(".")[0] if not host.replace(".", "").isdigit() else host
    return name if len(name) <= 16 else f"{name[:15]}…"


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds <= 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds <= 5 * 3600 else ("hours", 3600.0)
