"""Figures as image files, drawn by kaleido in the system's Chromium."""

from __future__ import annotations

from pathlib import Path

from analysis.figures.gallery import GALLERY
from rc_core.storage import Storage

IMAGE_SUFFIXES = (".svg", ".pdf", ".png")

WIDTH_PIXELS = 900


def write_image(location: str | Path | Storage, figure: str, out: Path) -> Path:
    """Draw one figure of an experiment into a file.

    Args:
        location: as of `analysis.results.load`.
        figure: a key of `gallery.GALLERY`.
        out: file to write; its suffix decides the format.

    Raises:
        ValueError: unknown figure or suffix.
        ModuleNotFoundError: kaleido is not installed.
        FileNotFoundError: no Chromium was found, or nothing at `location` is an experiment.
    """
    if figure not in GALLERY:
        raise ValueError(f"figure = {figure!r}: must be one of {', '.join(GALLERY)}")
    if out.suffix not in IMAGE_SUFFIXES:
        raise ValueError(f"--out {out}: the suffix must be one of {', '.join(IMAGE_SUFFIXES)}")
    try:
        from kaleido.errors import ChromeNotFoundError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "image files need kaleido; install it with: pip install 'rcsweep[images]'"
        ) from error
    drawn = GALLERY[figure](location)
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
