"""Screenshots of every page of the dashboard: light and dark, wide and narrow.

Command:  python -m benchmarks.screenshots EXPERIMENT --out DIR [--documents]
Time:     about 1 minute on 2 CPU cores
Result:   DIR/PAGE-WIDTH-MODE.png, whole pages; with --documents those of docs/images/dashboard/: the part
          of a page that a window shows, in few colours
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from analysis.dashboard.addresses import list_path, page_path, trial_path
from analysis.dashboard.pages.all_pages import NAVIGATION
from benchmarks.chromium import chromium, wait_until_drawn
from benchmarks.dash_process import DashProcess
from rc_core.experiment import SweepSpec
from rc_core.storage import LocalStorage

Mode = Literal["light", "dark"]

WIDE, NARROW = 1280, 420
HEIGHT = 900
# Plotly moves its lines into place; then the page stands still.
_SETTLED_SECONDS = 0.5


class Shot(NamedTuple):
    """One picture.

    Attributes:
        name: of the file, without mode and width.
        address: of the page, without the origin.
        width: of the window, CSS pixels.
        mode: of the system.
        height: of the window, CSS pixels; None pictures the whole page.
    """

    name: str
    address: str
    width: int
    mode: Mode
    height: int | None = None

    @property
    def file(self) -> str:
        """Name of the picture's file."""
        return f"{self.name}-{self.width}-{self.mode}.png"


def all_shots(experiment: Path) -> list[Shot]:
    """Every page of an experiment, and the list that it stands in; in both modes and widths."""
    name, (training, pruning) = experiment.name, _two_cells(experiment)
    addresses = {"experiments": list_path()}
    addresses |= {page.slug or "overview": page_path(name, page.slug) for page in NAVIGATION}
    addresses |= {"training": trial_path(name, training), "pruning": trial_path(name, pruning)}
    modes: tuple[Mode, ...] = ("light", "dark")
    return [
        Shot(page, address, width, mode)
        for width in (WIDE, NARROW)
        for mode in modes
        for page, address in addresses.items()
    ]


def document_shots(experiment: Path) -> list[Shot]:
    """The pictures of the documentation."""
    name, (_, pruning) = experiment.name, _two_cells(experiment)
    shots = [
        Shot(page or "overview", page_path(name, page), WIDE, "light", HEIGHT)
        for page in ("", "tradeoff", "grid", "threshold", "curves", "surgery", "memory", "trials", "cost")
    ]
    return [
        *shots,
        Shot("trial", trial_path(name, pruning), WIDE, "light", HEIGHT),
        Shot("tradeoff", page_path(name, "tradeoff"), WIDE, "dark", HEIGHT),
        Shot("overview", page_path(name), NARROW, "light", HEIGHT),
    ]


def take(browser: Browser, origin: str, shots: Iterable[Shot], out: Path, *, num_colors: int = 0) -> None:
    """Take pictures of a dashboard.

    Args:
        browser: that draws.
        origin: of the dashboard.
        shots: what is pictured.
        out: folder of the files; made where it is missing.
        num_colors: of the files' palette; 0 keeps every colour.
    """
    out.mkdir(parents=True, exist_ok=True)
    for shot in shots:
        size: ViewportSize = {"width": shot.width, "height": shot.height or HEIGHT}
        with browser.new_context(viewport=size, color_scheme=shot.mode) as context:
            page = context.new_page()
            page.goto(origin + shot.address)
            wait_until_drawn(page)
            page.wait_for_timeout(1000 * _SETTLED_SECONDS)
            file = out / shot.file
            page.screenshot(path=file, full_page=shot.height is None)
        if num_colors:
            with Image.open(file) as picture:
                few = picture.convert("RGB").quantize(num_colors, dither=Image.Dither.NONE)
            few.save(file, optimize=True)
        print(f"{file}  {file.stat().st_size / 1000:.0f} kB", flush=True)


def _two_cells(experiment: Path) -> tuple[str, str]:
    """Ids of the last training and of the last pruning: of most random labels and highest sparsity."""
    spec = SweepSpec.read(LocalStorage(experiment))
    if spec is None:
        raise SystemExit(f"{experiment}: has no sweep.json; name the folder of an experiment")
    cells = spec.cells()
    return (
        [cell.cell_id for cell in cells if cell.phase == "train"][-1],
        [cell.cell_id for cell in cells if cell.phase == "prune"][-1],
    )


def main() -> None:
    """Start a dashboard over the experiment's folder and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--documents", action="store_true")
    parser.add_argument("--only", help="names of pages, separated by commas")
    arguments = parser.parse_args()
    experiment = arguments.experiment.resolve()
    shots = (document_shots if arguments.documents else all_shots)(experiment)
    if arguments.only:
        shots = [shot for shot in shots if shot.name in arguments.only.split(",")]
    with (
        tempfile.TemporaryDirectory() as scratch,
        DashProcess("--storage", str(experiment.parent), output=Path(scratch) / "dash.txt") as dash,
        chromium() as browser,
    ):
        take(browser, dash.origin, shots, arguments.out, num_colors=128 if arguments.documents else 0)


if __name__ == "__main__":
    main()
