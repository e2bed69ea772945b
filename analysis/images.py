"""Figures as image files, drawn by kaleido in the system's Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go

from analysis.attempts import load_attempts
from analysis.figures import FIGURE_NAMES
from analysis.figures.curves import plot_curves
from analysis.figures.grid_heatmap import plot_grid_heatmap
from analysis.figures.slots import plot_slots
from analysis.figures.tradeoff import plot_tradeoff
from analysis.results import load, load_history
from rc_core.storage import Storage

IMAGE_SUFFIXES = (".svg", ".pdf", ".png")

WIDTH_PIXELS = 900


def _tradeoff(location: str | Path | Storage) -> go.Figure:
    return plot_tradeoff(load(location))


def _heatmap(location: str | Path | Storage) -> go.Figure:
    return plot_grid_heatmap(load(location))


def _curves(location: str | Path | Storage) -> go.Figure:
    return plot_curves(load(location), load_history(location))


def _slots(location: str | Path | Storage) -> go.Figure:
    return plot_slots(load_attempts(location))


FIGURES: dict[str, Callable[[str | Path | Storage], go.Figure]] = {
    "tradeoff": _tradeoff,
    "heatmap": _heatmap,
    "curves": _curves,
    "slots": _slots,
}
assert tuple(FIGURES) == FIGURE_NAMES


def write_image(location: str | Path | Storage, figure: str, out: Path) -> Path:
    """Draw one figure of an experiment into a file.

    Args:
        location: as of `analysis.results.load`.
        figure: a key of `FIGURES`.
        out: file to write; its suffix decides the format.

    Raises:
        ValueError: unknown figure or suffix.
        ModuleNotFoundError: kaleido is not installed.
        FileNotFoundError: no Chromium was found, or nothing at `location` is an experiment.
    """
    if figure not in FIGURES:
        raise ValueError(f"figure = {figure!r}: must be one of {', '.join(FIGURES)}")
    if out.suffix not in IMAGE_SUFFIXES:
        raise ValueError(f"--out {out}: the suffix must be one of {', '.join(IMAGE_SUFFIXES)}")
    try:
        from kaleido.errors import ChromeNotFoundError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "image files need kaleido; install it with: pip install 'rcsweep[images]'"
        ) from error
    drawn = FIGURES[figure](location)
    try:
        # Twice the pixels for PNG, so that it is sharp on dense screens; vector formats do not care.
        drawn.write_image(out, width=WIDTH_PIXELS, scale=2)
    except (ChromeNotFoundError, RuntimeError) as error:  # plotly wraps kaleido's error in a RuntimeError
        if "chrome" not in str(error).lower():
            raise
        raise FileNotFoundError(
            "no Chromium or Chrome was found to draw with; install one (Debian: apt-get install chromium) "
            "or name it in BROWSER_PATH"
        ) from error
    return out
