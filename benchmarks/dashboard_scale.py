"""How long the dashboard of a big experiment takes, and whether its memory grows.

Command:  python -m benchmarks.dashboard_scale [--cells 1000] [--rounds 5] [--out docs/results/dashboard.json]
Time:     about 3 minutes on 2 CPU cores
Result:   docs/results/dashboard.json. Aims for 1,000 cells: the first page within 2 s, a refresh within .5 s,
          memory flat over 100 refreshes

The experiment is that of `benchmarks.analysis_scale`, in the page cache. Every round starts a server and a
browser of its own, so nothing is kept but the index on disk, as after `rcsweep report`. Measured are, in
seconds:

start      from the command to its address on the screen
first      from then to the overview drawn, the page that opens: with the server's first look
figure     the trade-off page drawn, opened by its address in a fresh browser, of a fresh server
page       the grid page, by its link, in the window that is open
same       a refresh by hand after which nothing has changed, from the click to the answer in place
changed    the same after 10 more cells were finished: the figure is drawn again
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, ViewportSize

from benchmarks import conditions
from benchmarks.analysis_scale import NUM_NEW_CELLS, finish_cells, grid_of, write_experiment
from benchmarks.chromium import chromium, wait_until_drawn
from benchmarks.dash_process import DashProcess
from benchmarks.sections import write_section
from rc_core.stamps import SETTLED_SECONDS
from rc_core.storage import LocalStorage

NAME = "experiment"
SECTION = "dashboard_scale"
NUM_REFRESHES = 100
# The first refreshes fill caches.
NUM_UNCOUNTED = 10
_WIDE: ViewportSize = {"width": 1280, "height": 900}

# The time of the page's last answer from the server, in its own clock; the click resolves with the next one.
_REFRESH = """() => new Promise(resolve => {
    const begun = performance.now();
    const observer = new PerformanceObserver(list => {
        const answer = list.getEntries().find(entry => entry.name.includes('_dash-update-component'));
        if (!answer) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => resolve((performance.now() - begun) / 1000)));
    });
    observer.observe({type: 'resource'});
    document.getElementById('refresh').click();
})"""


class Round(NamedTuple):
    """One server's times, seconds, as the module's docstring has them."""

    start: float
    first: float
    figure: float
    page: float
    same: float
    changed: float


class Memory(NamedTuple):
    """Resident memory of the server while a page is refreshed, bytes.

    Attributes:
        after_uncounted: after the first `NUM_UNCOUNTED` refreshes.
        after_all: after all of them.
        peak: the highest.
        num_refreshes: all of them.
    """

    after_uncounted: int
    after_all: int
    peak: int
    num_refreshes: int


def measure_round(experiment: Path, scratch: Path) -> Round:
    """Start a server, look at it in a fresh browser, end both; and once more for the figure."""
    arguments = ("--storage", str(experiment.parent))
    with chromium() as browser:
        begun = time.perf_counter()
        with DashProcess(*arguments, output=scratch / "dash.txt") as dash:
            start = time.perf_counter() - begun
            page = browser.new_page(viewport=_WIDE)
            first = seconds_of(lambda: open_page(page, f"{dash.origin}/e/{NAME}"))
    with chromium() as browser, DashProcess(*arguments, output=scratch / "dash.txt") as dash:
        page = browser.new_page(viewport=_WIDE)
        figure = seconds_of(lambda: open_page(page, f"{dash.origin}/e/{NAME}/tradeoff"))
        other = seconds_of(lambda: follow(page, "Grid"))
        follow(page, "Trade-off")
        same = min(refresh(page) for _ in range(3))
        finish_cells(LocalStorage(experiment))
        changed = refresh_changed(page)
    return Round(start, first, figure, other, same, changed)


def measure_memory(experiment: Path, scratch: Path, num_refreshes: int) -> Memory:
    """Refresh a page of one server again and again; every tenth time a cell has changed."""
    sizes = []
    with (
        chromium() as browser,
        DashProcess("--storage", str(experiment.parent), output=scratch / "dash.txt") as dash,
    ):
        page = browser.new_page(viewport=_WIDE)
        open_page(page, f"{dash.origin}/e/{NAME}/tradeoff")
        for number in range(num_refreshes):
            if number % 10 == 0:
                finish_cells(LocalStorage(experiment))  # the same cells, written anew
            refresh(page)
            sizes.append(resident_bytes(dash.pid))
    return Memory(sizes[min(NUM_UNCOUNTED, num_refreshes) - 1], sizes[-1], max(sizes), num_refreshes)


def open_page(page: Page, address: str) -> None:
    """Load a page and wait until it is whole."""
    page.goto(address)
    wait_until_drawn(page)


def follow(page: Page, title: str) -> None:
    """Go to a page by its link and wait until it is whole."""
    page.click(f"#nav a:text-is('{title}')")
    page.wait_for_function("title => document.title.startsWith(title)", arg=title)
    wait_until_drawn(page)


def refresh(page: Page) -> float:
    """Seconds from a click on Refresh to the server's answer in the page."""
    seconds: float = page.evaluate(_REFRESH)
    return seconds


def refresh_changed(page: Page) -> float:
    """Seconds from a click on Refresh to the figure that is drawn anew; the number of cells tells."""
    caption = page.inner_text("#caption-tradeoff")
    begun = time.perf_counter()
    page.click("#refresh")
    page.wait_for_function(
        "before => document.querySelector('#caption-tradeoff').innerText !== before", arg=caption
    )
    wait_until_drawn(page)
    return time.perf_counter() - begun


def seconds_of(do: Callable[[], None]) -> float:
    """Wall time of a call."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def spread(rounds: list[Round]) -> dict[str, dict[str, Any]]:
    """Median, least and most of every time, with all of them."""
    columns = {name: [getattr(each, name) for each in rounds] for name in Round._fields}
    return {
        name: {
            "median_seconds": round(statistics.median(values), 3),
            "min_seconds": round(min(values), 3),
            "max_seconds": round(max(values), 3),
            "seconds": [round(value, 3) for value in values],
        }
        for name, values in columns.items()
    }


def format_table(found: dict[str, dict[str, Any]], memory: Memory) -> str:
    """The times and the memory as text."""
    lines = [f"{'seconds':<9} {'median':>8} {'least':>8} {'most':>8}"]
    lines += [
        f"{name:<9} {each['median_seconds']:>8.3f} {each['min_seconds']:>8.3f} {each['max_seconds']:>8.3f}"
        for name, each in found.items()
    ]
    lines.append(
        f"memory: {memory.after_uncounted / 1e6:.0f} MB after {NUM_UNCOUNTED} refreshes, "
        f"{memory.after_all / 1e6:.0f} MB after {memory.num_refreshes}, {memory.peak / 1e6:.0f} MB at most"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write the section of the results where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--refreshes", type=int, default=NUM_REFRESHES)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    command = conditions.command_line("benchmarks.dashboard_scale", sys.argv[1:])
    under = conditions.begin(command)
    rounds = []
    with tempfile.TemporaryDirectory() as root:
        scratch, experiment = Path(root), Path(root) / "results" / NAME
        write_experiment(LocalStorage(experiment), arguments.cells)
        new_cells = grid_of(arguments.cells).cells()[-NUM_NEW_CELLS:]
        for _ in range(arguments.rounds):
            for cell in new_cells:
                shutil.rmtree(experiment / cell.cell_id, ignore_errors=True)
            time.sleep(SETTLED_SECONDS)  # what was written just now is not taken into the index
            rounds.append(measure_round(experiment, scratch))
            print(" ".join(f"{name} {value:.3f}" for name, value in rounds[-1]._asdict().items()), flush=True)
        memory = measure_memory(experiment, scratch, arguments.refreshes)
    found = spread(rounds)
    print(format_table(found, memory))
    if arguments.out:
        section = {
            "conditions": asdict(conditions.end(under)),
            "num_cells": len(grid_of(arguments.cells).cells()),
            "num_rounds": len(rounds),
            "times": found,
            "memory_bytes": memory._asdict(),
        }
        write_section(arguments.out, SECTION, section)


if __name__ == "__main__":
    main()
