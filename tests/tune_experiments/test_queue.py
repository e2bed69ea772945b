"""The queue releases a pruning by its own parent and by nothing else."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.cells import Grid, PruneCell, TrainCell
from tune_experiments.queue import DONE, FAILED, PARENT_FAILED, READY, RUNNING, WAITING, CellQueue

GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def test_trainings_start_first_and_prunings_wait_for_their_own_parent():
    queue = CellQueue(GRID.cells())

    first, second = queue.take(), queue.take()

    assert (first.cell_id, second.cell_id) == ("train-p0.00-s42", "train-p1.00-s42")
    assert queue.take() is None
    queue.finish("train-p1.00-s42")
    assert queue.take().cell_id == "prune-p1.00-s42-dns-S0.500"
    assert queue.take().cell_id == "prune-p1.00-s42-dns-S0.900"
    assert queue.take() is None
    assert queue.states["prune-p0.00-s42-dns-S0.500"] == WAITING
    assert not queue.exhausted


def test_a_failed_parent_fails_its_children_with_its_error_and_no_others():
    queue = CellQueue(GRID.cells())
    queue.take()
    queue.take()

    queue.fail("train-p0.00-s42", "boom")
    queue.finish("train-p1.00-s42")

    assert queue.states["train-p0.00-s42"] == FAILED
    assert queue.states["prune-p0.00-s42-dns-S0.500"] == PARENT_FAILED
    assert queue.errors["prune-p0.00-s42-dns-S0.900"] == "train-p0.00-s42: boom"
    assert queue.states["prune-p1.00-s42-dns-S0.500"] == READY
    assert queue.count(PARENT_FAILED) == 2


def test_cells_with_a_finished_parent_are_ready_at_once():
    child = PruneCell(randomization=0.0, seed=42, sparsity=0.95)

    queue = CellQueue([child], finished=["train-p0.00-s42"])

    assert queue.take() == child
    assert queue.running() == [child.cell_id]


def test_a_child_without_a_parent_anywhere_is_refused():
    child = PruneCell(randomization=0.0, seed=42, sparsity=0.95)

    with pytest.raises(ValueError, match=r"prune-p0\.00-s42-dns-S0\.950: its parent train-p0\.00-s42"):
        CellQueue([child])


@given(
    slots=st.integers(1, 6),
    failing=st.sets(st.sampled_from([cell.cell_id for cell in GRID.cells()])),
    seed=st.integers(0, 10_000),
)
def test_any_order_of_endings_leaves_every_cell_settled(slots, failing, seed):
    order = random.Random(seed)
    queue = CellQueue(GRID.cells())
    running: list[str] = []
    while True:
        while len(running) < slots and (cell := queue.take()) is not None:
            if cell.parent is not None:
                assert queue.states[cell.parent.cell_id] == DONE
            running.append(cell.cell_id)
        if not running:
            break
        ended = running.pop(order.randrange(len(running)))
        if ended in failing:
            queue.fail(ended, "boom")
        else:
            queue.finish(ended)

    assert queue.exhausted
    for cell in GRID.cells():
        state = queue.states[cell.cell_id]
        if cell.parent is not None and cell.parent.cell_id in failing:
            assert state == PARENT_FAILED
        else:
            assert state == (FAILED if cell.cell_id in failing else DONE)
    assert queue.count(RUNNING) == 0


def test_grid_cells_put_every_parent_before_its_children():
    seen = set()
    for cell in GRID.cells():
        assert cell.parent is None or cell.parent in seen
        seen.add(cell)
    assert isinstance(GRID.cells()[0], TrainCell)


def test_a_stopped_queue_starts_nothing_and_an_interrupted_cell_can_start_again():
    queue = CellQueue(GRID.cells())
    first = queue.take()

    queue.stop()
    queue.give_back(first.cell_id)

    assert queue.exhausted
    assert queue.take() is None
    assert queue.states[first.cell_id] == READY
    assert queue.running() == []


def test_a_queue_of_ten_thousand_cells_is_worked_off_in_linear_time():
    grid = Grid(randomizations=(0.0, 0.5), sparsities=(0.5, 0.7, 0.8, 0.9), seeds=tuple(range(1000)))
    queue = CellQueue(grid.cells())
    num_started = 0
    start = time.process_time()
    while (cell := queue.take()) is not None:
        num_started += 1
        queue.finish(cell.cell_id)
        assert not queue.running()
    assert num_started == 10_000
    assert queue.exhausted
    assert time.process_time() - start < 2
