"""Figures as image files, drawn by kaleido in the system's Chromium."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from analysis.figures.theme import darkened

IMAGE_SUFFIXES = (".svg", ".pdf", ".png")


def write_image(
    figure: go.Figure,
    out: Path,
    *,
    width_px: int,
    height_px: int | None = None,
    dark: bool = False,
) -> Path:
    """Draw a figure into a file.

    Args:
        figure: of an exhibit.
        out: file to write; its suffix decides the format. Missing parent folders are made.
        width_px: of the image; a PNG has twice as many pixels, so that it is sharp on dense screens.
        height_px: the same; None takes what the figure needs.
        dark: for dark paper.

    Raises:
        ValueError: unknown suffix, or a size below 1.
        ModuleNotFoundError: kaleido is not installed.
        FileNotFoundError: no Chromium was found.
    """
    check_image(out, width_px, height_px)
    try:
        from kaleido.errors import ChromeNotFoundError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "image files need kaleido; install it with: pip install 'rcsweep[images]'"
        ) from error
    drawn = darkened(figure) if dark else figure
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        drawn.write_image(out, width=width_px, height=height_px, scale=2)
    except (ChromeNotFoundError, RuntimeError) as error:  # plotly wraps kaleido's error in a RuntimeError
        if "chrome" not in str(error).lower():
            raise
        raise FileNotFoundError(
            "no Chromium or Chrome was found to draw with; install one (Debian: apt-get install chromium) "
            "or name it in BROWSER_PATH"
        ) from error
    return out


def check_image(out: Path, width_px: int, height_px: int | None) -> None:
    """Refuse what `write_image` cannot write, before anything is read for it.

    Raises:
        ValueError: as there.
    """
    if out.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"--out {out}: the suffix must be one of {', '.join(IMAGE_SUFFIXES)}")
    for option, size_px in (("--width", width_px), ("--height", height_px)):
        if size_px is not None and size_px < 1:
            raise ValueError(f"{option} {size_px}: must be 1 or more pixels")
