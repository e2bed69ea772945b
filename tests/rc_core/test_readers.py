from __future__ import annotations

import threading
import time

import pytest

from rc_core.readers import NUM_READERS, read_all


class Reading:
    """Reads that take so many seconds of waiting or of work, by threads that are counted."""

    def __init__(self, *, wait_seconds=0.0, work_seconds=0.0, slow_from=0):
        self._wait_seconds, self._work_seconds, self._slow_from = wait_seconds, work_seconds, slow_from
        self.threads = set()

    def __call__(self, item):
        self.threads.add(threading.get_ident())
        if item >= self._slow_from and self._wait_seconds:
            time.sleep(self._wait_seconds)
        begun = time.thread_time()
        while time.thread_time() - begun < self._work_seconds:
            pass
        return item * item


@pytest.mark.parametrize("num_items", [0, 1, 3, 4, 100, 2000])
@pytest.mark.parametrize("settings", [{}, {"wait_seconds": 0.002}, {"wait_seconds": 0.002, "slow_from": 50}])
def test_results_stand_in_the_order_of_the_items(num_items, settings):
    assert read_all(Reading(**settings), range(num_items)) == [item * item for item in range(num_items)]


def test_what_waits_is_read_by_many_threads():
    reading = Reading(wait_seconds=0.02)
    begun = time.monotonic()
    read_all(reading, range(300))
    assert 0.02 * 300 / NUM_READERS < time.monotonic() - begun < 0.02 * 300 / 2
    assert len(reading.threads) == NUM_READERS + 1


def test_what_works_is_read_by_one():
    reading = Reading(work_seconds=0.005)
    read_all(reading, range(40))
    assert reading.threads == {threading.get_ident()}


def test_threads_come_when_the_waiting_begins():
    reading = Reading(wait_seconds=0.02, slow_from=100)  # those before are in a cache
    begun = time.monotonic()
    read_all(reading, range(700))
    assert time.monotonic() - begun < 0.02 * 600 / 2
    assert len(reading.threads) == NUM_READERS + 1


@pytest.mark.parametrize("wait_seconds", [0.0, 0.005])
def test_the_first_error_is_raised(wait_seconds):
    reading = Reading(wait_seconds=wait_seconds)

    def fail(item):
        if item >= 150:
            raise ValueError(f"item {item}")
        return reading(item)

    with pytest.raises(ValueError, match="item 150"):
        read_all(fail, range(400))
