"""How many cells a trial gets."""

from rc_core.cells import Grid, cell_from_dict
from tune_experiments.queue import CellQueue
from tune_experiments.searcher import CellSearcher

GRID = Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.9), seeds=(42, 43, 44))  # 9 trainings


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def searcher(
    queue: CellQueue, *, stack: int, num_slots: int, max_concurrent: int = 100, clock: Clock | None = None
) -> CellSearcher:
    search = CellSearcher(queue, stack=stack, num_slots=num_slots, clock=clock or Clock())
    search.set_max_concurrency(max_concurrent)
    return search


def suggested(search: CellSearcher, trial_id: str = "some trial") -> list[str] | None:
    config = search.suggest(trial_id)
    return None if config is None else [cell_from_dict(cell).cell_id for cell in config["cells"]]


def end(search: CellSearcher, trial_id: str, cell_ids: list[str]) -> None:
    for cell_id in cell_ids:
        search.queue.finish(cell_id)
    search.queue.end_stack()
    search.on_trial_complete(trial_id)


def test_work_is_spread_over_the_slots_in_stacks_of_equal_size():
    search = searcher(CellQueue(GRID.cells()), stack=8, num_slots=2)
    first, second = suggested(search, "a"), suggested(search, "b")
    assert (len(first), len(second)) == (5, 4)
    assert suggested(search) is None
    end(search, "a", first)
    # Ten prunings are ready and eight wait for the other trainings: nine a slot, in two stacks.
    assert len(suggested(search, "c")) == 5
    end(search, "b", second)
    # Thirteen are left and five have just begun.
    assert len(suggested(search, "d")) == 5
    assert search.queue.count("ready", "prune") == 8


def test_what_runs_counts_by_the_steps_that_it_still_has():
    clock = Clock()
    queue = CellQueue(GRID.cells())
    search = searcher(queue, stack=12, num_slots=2, clock=clock)
    trainings = {trial_id: suggested(search, trial_id) for trial_id in ("a", "b")}
    for trial_id, cell_ids in trainings.items():
        end(search, trial_id, cell_ids)
    assert len(suggested(search, "c")) == 9  # of 18
    search.on_trial_result("c", {"step": 10, "num_steps": 100})  # too early to tell a rate
    clock.seconds = 10.0
    search.on_trial_result("c", {"step": 40, "num_steps": 100})
    clock.seconds = 20.0  # four fifths are done by now
    # (9 + 9 / 5) / 2 = 5.4
    assert len(suggested(search, "d")) == 6
    clock.seconds = 1_000.0  # it should have ended long ago
    assert len(suggested(search, "e")) == 3  # all that is left, less than a slot's part of it with what runs


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
