"""Real experiments behind real servers, and one browser for all tests."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from benchmarks.analysis_scale import write_experiment
from benchmarks.chromium import chromium, chromium_path
from benchmarks.dash_process import DashProcess
from chaos.damage import flip_byte
from chaos.driver import Driver
from rc_core.storage import LocalStorage
from tests.browser.visitor import Visitor

SWEEP_SECONDS = 200.0
GRID = ("--randomization", "0,1", "--sparsity", "0.5,0.9", "--seeds", "42,43")
DAMAGED_PARENT = "train-p1.00-s42"
FAILED = ("prune-p1.00-s42-dns-S0.500", "prune-p1.00-s42-dns-S0.900")
NOT_RUN = ("prune-p0.00-s43-dns-S0.500", "prune-p1.00-s43-dns-S0.900", "train-p1.00-s42", *FAILED)
NUM_BIG_CELLS = 3000
# Of an experiment whose name, settings, log and errors were written by somebody with bad intentions.
HOSTILE = "<img src=x onerror=hit()>"
MARKUP = "<script>hit()</script><img src=x onerror=hit()><a href='javascript:hit()'>click</a>"


def run_sweep(storage: Path, *arguments: str, exit_code: int = 0) -> None:
    """Run a sweep to its end."""
    driver = Driver(["run", *arguments, "--storage", str(storage)], storage / "output.txt")
    try:
        assert driver.wait(SWEEP_SECONDS) == exit_code, driver.output
    finally:
        driver.end_processes()


@pytest.fixture(scope="session")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of experiments: digits, half, failed, big, and a hostile one."""
    parent = tmp_path_factory.mktemp("experiments")
    with ThreadPoolExecutor(max_workers=1) as beside:  # Ray's start is waiting more than work
        big = beside.submit(write_experiment, LocalStorage(parent / "big"), NUM_BIG_CELLS)
        run_sweep(parent, "digits", *GRID)
        _stop_half_way(parent / "digits", parent / "half")
        _fail(parent / "digits", parent / "failed")
        _turn_hostile(parent / "failed", parent / HOSTILE)
        big.result()
    return parent


def _stop_half_way(whole: Path, half: Path) -> None:
    shutil.copytree(whole, half)
    for cell_id in NOT_RUN:
        shutil.rmtree(half / cell_id)


def _fail(whole: Path, failed: Path) -> None:
    """Cells that refuse their damaged parent."""
    shutil.copytree(whole, failed)
    for cell_id in FAILED:
        shutil.rmtree(failed / cell_id)
    flip_byte(failed / DAMAGED_PARENT / "final" / "state.safetensors", random.Random(0))
    run_sweep(failed.parent, "digits", *GRID, "--name", failed.name, exit_code=3)
    assert all((failed / cell_id / "failure.json").exists() for cell_id in FAILED)


def _turn_hostile(failed: Path, hostile: Path) -> None:
    """Markup in every text of a cell and of the experiment that is free."""
    shutil.copytree(failed, hostile)
    cell = hostile / FAILED[0]
    (cell / "log.txt").write_text(MARKUP)
    quoted = MARKUP.replace('"', '\\"')
    (cell / "failure.json").write_text(f'{{"error": "{quoted}", "traceback": "{quoted}"}}')
    sweep = hostile / "sweep.json"
    text = sweep.read_text()
    for word in ('"name": "digits"', '"command": "'):
        assert word in text
    text = text.replace('"name": "digits"', f'"name": "{quoted}"')
    sweep.write_text(text.replace('"command": "', f'"command": "{quoted}'))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium; tests open windows in it."""
    if chromium_path() is None:
        pytest.skip("no chromium on the PATH; on Debian: apt install chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def start_dash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DashProcess]]:
    """Starts `rcsweep dash`; Ctrl-C ends every one in the end, cleanly."""
    folder = tmp_path_factory.mktemp("dash")
    started: list[DashProcess] = []

    def start(*arguments: str) -> DashProcess:
        started.append(DashProcess(*arguments, output=folder / f"{len(started)}.txt"))
        return started[-1]

    yield start
    for dash in started:
        assert dash.end() == 0, dash.output
        assert "Traceback" not in dash.output


@pytest.fixture(scope="session")
def dash(experiments: Path, start_dash: Callable[..., DashProcess]) -> DashProcess:
    """The server of all experiments."""
    return start_dash("--storage", str(experiments))


@pytest.fixture
def open_window(browser: Browser, dash: DashProcess) -> Iterator[Callable[..., Visitor]]:
    """Opens windows at the server; in the end none of them may have seen an offence."""
    opened: list[Visitor] = []

    def open_one(origin: str = "", **options: Any) -> Visitor:
        opened.append(Visitor(browser, origin or dash.origin, **options))
        return opened[-1]

    yield open_one
    for visitor in opened:
        visitor.context.close()
    assert [offence for visitor in opened for offence in visitor.offences] == []


@pytest.fixture
def window(open_window: Callable[..., Visitor]) -> Visitor:
    """One window, wide and light."""
    return open_window()
