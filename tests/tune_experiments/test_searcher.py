"""How many cells a trial gets."""

from rc_core.cells import Grid, cell_from_dict
from tune_experiments.queue import CellQueue
from tune_experiments.searcher import CellSearcher

GRID = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43, 44))  # 9 trainings


def searcher(queue: CellQueue, *, stack: int, num_slots: int, max_concurrent: int = 100) -> CellSearcher:
    search = CellSearcher(queue, stack=stack, num_slots=num_slots)
    search.set_max_concurrency(max_concurrent)
    return search


def suggested(search: CellSearcher) -> list[str] | None:
    config = search.suggest("some trial")
    return None if config is None else [cell_from_dict(cell).cell_id for cell in config["cells"]]


def test_what_is_ready_is_spread_over_the_slots():
    queue = CellQueue(GRID.cells())
    search = searcher(queue, stack=8, num_slots=2)
    first, second = suggested(search), suggested(search)
    assert (len(first), len(second)) == (5, 4)
    assert suggested(search) is None
    for cell_id in first:
        queue.finish(cell_id)
    queue.end_stack()
    # Ten prunings are ready and four trainings run: (10 + 4/2) / 2.
    assert len(suggested(search)) == 6


def test_a_stack_has_no_more_cells_than_allowed():
    queue = CellQueue(GRID.cells())
    search = searcher(queue, stack=3, num_slots=2)
    assert [len(suggested(search)) for _ in range(3)] == [3, 3, 3]


def test_no_more_trials_than_allowed_run_whatever_their_size():
    queue = CellQueue(GRID.cells())
    search = searcher(queue, stack=2, num_slots=1, max_concurrent=2)
    first = suggested(search)
    assert suggested(search) == ["train-p1.00-s42", "train-p0.00-s43"]
    assert suggested(search) is None
    for cell_id in first:
        queue.finish(cell_id)
    queue.end_stack()
    assert suggested(search) == ["train-p0.50-s43", "train-p1.00-s43"]


def test_without_stacks_every_trial_has_one_cell():
    search = searcher(CellQueue(GRID.cells()), stack=1, num_slots=2)
    assert [len(suggested(search)) for _ in range(9)] == [1] * 9
    assert suggested(search) is None
