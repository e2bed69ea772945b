"""Pages over synthetic experiments; `make_sweep` is in tests/analysis/conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.dashboard.experiments import Experiments
from analysis.dashboard.page_data import PageData
from rc_core.storage import LocalStorage

OpenPage = Callable[..., PageData]


@pytest.fixture
def open_page() -> OpenPage:
    """What a page is made from: of the experiment in a folder, and optionally one cell of it."""

    def open_(folder: Path, cell_id: str = "", *, is_dark: bool = False) -> PageData:
        experiments = Experiments(LocalStorage(folder.parent), storage_words=("--storage", "/data"))
        live = experiments.find(folder.name) or Experiments(
            LocalStorage(folder.parent), only=folder.name
        ).find(folder.name)
        assert live is not None
        return PageData(snapshot=live.snapshot(), experiments=experiments, is_dark=is_dark, cell_id=cell_id)

    return open_
