"""Readers: threads for many small files, since shared storage answers many requests in the time of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

NUM_READERS = 16

# Handing a thread its work takes as long as reading a small local file: of many items, it gets several.
_MAX_ITEMS_A_TASK, _TASKS_A_READER = 64, 4


def read_all(read: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """`read` of each item, in their order; the first error is raised."""
    items_a_task = max(1, min(_MAX_ITEMS_A_TASK, len(items) // (NUM_READERS * _TASKS_A_READER)))

    def read_part(start: int) -> list[_Result]:
        return [read(item) for item in items[start : start + items_a_task]]

    if not items:
        return []
    with ThreadPoolExecutor(NUM_READERS) as readers:
        parts = readers.map(read_part, range(0, len(items), items_a_task))
        return [result for part in parts for result in part]
