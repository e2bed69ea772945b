"""The queue releases a pruning by its own parent and by nothing else."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.cells import Cell, Grid, PruneCell, TrainCell
from tune_experiments.queue import DONE, FAILED, PARENT_FAILED, READY, RUNNING, WAITING, CellQueue


def take_one(queue: CellQueue) -> Cell | None:
    """What a sweep without stacks does."""
    return next(iter(queue.take()), None)


GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,))


def test_trainings_start_first_and_prunings_wait_for_their_own_parent():
    queue = CellQueue(GRID.cells())

    first, second = take_one(queue), take_one(queue)

    assert (first.cell_id, second.cell_id) == ("train-p0.00-s42", "train-p1.00-s42")
    assert take_one(queue) is None
    queue.finish("train-p1.00-s42")
    assert take_one(queue).cell_id == "prune-p1.00-s42-dns-S0.500"
    assert take_one(queue).cell_id == "prune-p1.00-s42-dns-S0.900"
    assert take_one(queue) is None
    assert queue.states["prune-p0.00-s42-dns-S0.500"] == WAITING
    assert not queue.exhausted


def test_a_failed_parent_fails_its_children_with_its_error_and_no_others():
    queue = CellQueue(GRID.cells())
    take_one(queue)
    take_one(queue)

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

    assert take_one(queue) == child
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
        while len(running) < slots and (cell := take_one(queue)) is not None:
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


# Stacks


def ids(cells: list[Cell]) -> list[str]:
    return [cell.cell_id for cell in cells]


def test_a_stack_has_cells_of_one_kind_in_their_order():
    queue = CellQueue(GRID.cells())
    assert ids(queue.take(5)) == ["train-p0.00-s42", "train-p1.00-s42"]
    assert queue.take(5) == []
    assert queue.num_stacks == 1
    queue.finish("train-p1.00-s42")
    queue.fail("train-p0.00-s42", "boom")
    queue.end_stack()
    assert ids(queue.take(1)) == ["prune-p1.00-s42-dns-S0.500"]
    assert ids(queue.take(5)) == ["prune-p1.00-s42-dns-S0.900"]
    assert queue.num_stacks == 2


def test_prunings_do_not_join_a_stack_of_trainings():
    further = TrainCell(randomization=0.5, seed=42)
    child = PruneCell(randomization=0.0, seed=42, sparsity=0.5)
    queue = CellQueue([child, further], finished=["train-p0.00-s42"])
    assert ids(queue.take(5)) == [child.cell_id]
    assert ids(queue.take(5)) == [further.cell_id]


def test_a_cell_that_is_to_run_alone_does():
    cells = [TrainCell(randomization=0.0, seed=seed) for seed in range(4)]
    queue = CellQueue(cells)
    assert len(queue.take(4)) == 4
    queue.give_back("train-p0.00-s1", alone=True)
    for seed in (0, 2, 3):
        queue.give_back(f"train-p0.00-s{seed}")
    queue.end_stack()
    assert ids(queue.take(4)) == ["train-p0.00-s0"]
    assert ids(queue.take(4)) == ["train-p0.00-s1"]
    assert ids(queue.take(4)) == ["train-p0.00-s2", "train-p0.00-s3"]
    assert queue.num_stacks == 3


def test_a_stopped_queue_starts_nothing_and_an_interrupted_cell_can_start_again():
    queue = CellQueue(GRID.cells())
    first = take_one(queue)

    queue.stop()
    queue.give_back(first.cell_id)

    assert queue.exhausted
    assert take_one(queue) is None
    assert queue.states[first.cell_id] == READY
    assert queue.running() == []


def test_a_queue_of_ten_thousand_cells_is_worked_off_in_linear_time():
    grid = Grid(randomizations=(0.0, 0.5), sparsities=(0.5, 0.7, 0.8, 0.9), seeds=tuple(range(1000)))
    queue = CellQueue(grid.cells())
    num_started = 0
    start = time.process_time()
    while (cell := take_one(queue)) is not None:
        num_started += 1
        queue.finish(cell.cell_id)
        assert not queue.running()
    assert num_started == 10_000
    assert queue.exhausted
    assert time.process_time() - start < 2
