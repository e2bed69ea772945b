"""The simulation against schedules made by hand, and docs/scaling.md against its data."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("simpy")

from benchmarks.scaling import measure, scenarios, simulation
from benchmarks.scaling.check import predict
from benchmarks.scaling.cluster import (
    CHECKPOINTS,
    DRIVER,
    NO_CELL,
    REDONE,
    SETUP,
    START,
    STEPS,
    STORAGE,
    Cluster,
)
from benchmarks.scaling.costs import ByPhase, Costs, Line, costs_from_dict, read_costs, read_profiles
from benchmarks.scaling.figure import get_utilisation_info, plot_utilisation
from benchmarks.scaling.server import BIN_SECONDS, ObjectStore, Server
from benchmarks.scaling.simulation import simulate
from benchmarks.scaling.tables import all_tables, check_table, largest_loss
from benchmarks.sections import read_sections
from benchmarks.table import filled
from rc_core.cells import Grid, cell_to_dict
from rc_core.recipes import preset
from tune_experiments.queue import CellQueue
from tune_experiments.searcher import CellSearcher

DOCS = Path(__file__).parents[2] / "docs"

# A training takes 10 s, a pruning 4 s, and nothing else takes time.
FREE = Costs(
    num_steps=ByPhase(10, 4),
    train_step=Line(0.0, 1.0),
    prune_step=Line(0.0, 1.0),
    setup=Line(0.0, 0.0),
    finish=Line(0.0, 0.0),
    process_start=0.0,
    turnaround=0.0,
    driver_trial=0.0,
    driver_report=0.0,
    driver_beat_per_cell=0.0,
    report_every=5.0,
    beat_every=5.0,
    poll_every=10.0,
    checkpoint_every=1e9,
    lookup_requests=ByPhase(0, 0),
    finish_requests=ByPhase(0, 0),
    checkpoint_requests=ByPhase(0, 0),
    poll_requests=0.0,
    final_bytes=ByPhase(0, 0),
    checkpoint_bytes=ByPhase(0, 0),
    s3_latency=0.0,
    s3_bytes_per_second=1e9,
    s3_reads_per_second=1e9,
    s3_writes_per_second=1e9,
    data_bytes=0.0,
    head_bytes_per_second=1.0,
    loss_detection=0.0,
    node_start=0.0,
    max_retries=2,
    driver_bytes_per_cell=0.0,
)


def cells(num_trainings, *sparsities):
    return Grid(randomizations=(0.0,), sparsities=sparsities, seeds=tuple(range(num_trainings))).cells()


def run(grid, num_gpus, costs=None, gpus_per_node=1, **settings):
    costs = dataclasses.replace(FREE, **(costs or {}))
    return simulate(grid, costs, Cluster(num_gpus=num_gpus, gpus_per_node=gpus_per_node, **settings))


@pytest.fixture
def lost_after(monkeypatch):
    """Nodes are lost so many seconds after they joined, in order of joining; later ones never."""

    def plan(*lifetimes):
        class Random:
            def __init__(self, seed):
                self.lifetimes = [*lifetimes]

            def expovariate(self, rate):
                return self.lifetimes.pop(0) if self.lifetimes else 1e9

        monkeypatch.setattr(simulation.random, "Random", Random)

    return plan


def test_one_gpu_takes_the_sum():
    outcome = run(cells(2, 0.5, 0.9), 1)
    assert outcome.makespan_seconds == 2 * 10 + 4 * 4
    assert outcome.num_cells == {"done": 6, "failed": 0, "parent-failed": 0}
    assert outcome.utilisation == 1.0


def test_set_up_start_and_end_of_each_cell_are_added():
    costs = {"process_start": 5.0, "setup": Line(0.5, 0.5), "finish": Line(0.0, 0.25), "turnaround": 2.0}
    outcome = run(cells(1, 0.5), 1, costs)
    assert outcome.makespan_seconds == 5 + (2 + 1 + 10 + 0.25) + (2 + 1 + 4 + 0.25)
    spent = {kind: seconds for kind, seconds in outcome.slot_seconds.items() if seconds}
    assert spent == {START: 5.0, DRIVER: 4.0, SETUP: 2.5, STEPS: 14.0}


def test_a_second_gpu_waits_for_the_parent():
    outcome = run(cells(1, 0.5, 0.7, 0.9), 2)
    assert outcome.makespan_seconds == 10 + 4 + 4
    assert outcome.slot_seconds[NO_CELL] == 10 + 4  # before the parent is done; beside the third pruning
    assert outcome.slot_seconds[STEPS] == 10 + 3 * 4


@pytest.mark.parametrize(
    ("checkpoint_every", "end_seconds", "redone_seconds"),
    [
        (3.0, 12 + 4, 1),  # 6 of 7 s are in the checkpoint
        (100.0, 12 + 10, 7),
    ],
)
def test_a_node_lost_after_seven_seconds(lost_after, checkpoint_every, end_seconds, redone_seconds):
    lost_after(7.0)
    costs = {"checkpoint_every": checkpoint_every, "loss_detection": 2.0, "node_start": 5.0}
    outcome = run(cells(1), 1, costs, losses_per_gpu_hour=1.0)
    assert outcome.makespan_seconds == pytest.approx(end_seconds)
    assert (outcome.num_losses, outcome.num_trials) == (1, 2)
    assert outcome.slot_seconds[REDONE] == pytest.approx(redone_seconds)
    assert outcome.slot_seconds[STEPS] == pytest.approx(10)
    assert outcome.gpu_seconds == pytest.approx(7 + end_seconds - 12)


def test_a_lost_node_takes_the_trials_of_all_its_slots(lost_after):
    lost_after(7.0)
    outcome = run(cells(3), 3, {"node_start": 5.0}, gpus_per_node=2, losses_per_gpu_hour=1.0)
    # The third training ends on its own node at 10, which takes one of the other two from there to 20.
    assert outcome.num_trials == 5
    assert outcome.slot_seconds[REDONE] == 14
    assert outcome.makespan_seconds == 22


def test_a_cell_lost_too_often_fails_and_its_children_with_it(lost_after):
    lost_after(3.0, 3.0)
    outcome = run(cells(1, 0.5, 0.9), 1, {"max_retries": 1}, losses_per_gpu_hour=1.0)
    assert outcome.num_cells == {"done": 0, "failed": 1, "parent-failed": 2}
    assert outcome.makespan_seconds == 6


def test_cells_of_a_stack_lost_too_often_are_tried_alone(lost_after):
    lost_after(3.0)
    outcome = run(cells(2), 1, {"max_retries": 0}, losses_per_gpu_hour=1.0, stack=2)
    assert outcome.num_cells["done"] == 2
    assert outcome.num_trials == 3
    assert outcome.makespan_seconds == 3 + 10 + 10


def test_trials_wait_for_each_other_at_the_driver():
    outcome = run(cells(2), 2, {"driver_trial": 2.0})
    # Half of the work at the start, 0-1 and 1-2, half at the end, 11-12 and 12-13.
    assert outcome.makespan_seconds == 13
    assert outcome.driver_load == pytest.approx(4 / 13)
    assert outcome.slot_seconds[DRIVER] == (1 + 1) + (2 + 1)


def test_signs_of_life_take_the_drivers_time():
    outcome = run(cells(2), 2, {"driver_report": 0.5})
    # Two reports of half a second at 5 s, and again at 10 s, for which the word of the end waits.
    assert outcome.makespan_seconds == 11
    assert outcome.driver_load == pytest.approx(2 / 11)


def test_nodes_get_the_data_one_after_the_other():
    outcome = run(cells(2), 2, {"data_bytes": 100.0, "head_bytes_per_second": 10.0})
    assert outcome.makespan_seconds == 20 + 10
    assert outcome.broadcast_seconds == 20
    assert outcome.slot_seconds[START] == 10 + 20


def test_the_object_store_answers_no_faster_than_it_may():
    costs = {"finish_requests": ByPhase(4, 4), "s3_writes_per_second": 1.0, "final_bytes": ByPhase(100, 0)}
    outcome = run(cells(2), 2, costs)
    assert outcome.makespan_seconds == 10 + 8
    assert outcome.slot_seconds[STORAGE] == 4 + 8
    assert outcome.requests["write"] == 8
    assert outcome.bytes["write"] == 200
    assert outcome.peak_requests_per_second["write"] == 8 / BIN_SECONDS


def test_checkpoints_take_time_and_requests():
    costs = {"checkpoint_every": 4.0, "checkpoint_requests": ByPhase(2, 2), "s3_latency": 0.25}
    outcome = run(cells(1), 1, costs)
    assert outcome.makespan_seconds == 10 + 2 * 0.5  # after 4 and 8 s of steps
    assert outcome.slot_seconds[CHECKPOINTS] == 1.0
    assert outcome.requests["write"] == 4


def test_an_empty_cluster_grows_with_the_trials_that_wait():
    grown = run(cells(4), 8, {"node_start": 5.0}, is_empty=True)
    assert (grown.makespan_seconds, grown.most_slots) == (15, 4)
    bounded = run(cells(4), 8, {"node_start": 5.0}, is_empty=True, max_pending=2)
    assert (bounded.makespan_seconds, bounded.most_slots) == (25, 2)


def test_the_sweep_of_digits_on_two_slots_by_hand():
    # Stacks of 5 and 4 trainings end at 3.0 and 2.4 s. Of the prunings 12 begin at 2.4 s (half of 45, in two
    # stacks) and 12 at 3.0; at 8.4 s another 12 (half of 21 and of the tenth of 12 that is left by what was
    # said at 5 s), which end at 14.4; at 9.0 s the last 9.
    costs = dataclasses.replace(
        FREE, num_steps=ByPhase(600, 500), train_step=Line(0.0, 0.001), prune_step=Line(0.0, 0.001)
    )
    assert predict(costs) == pytest.approx(14.4)


def test_a_trial_of_one_cell_is_what_the_searcher_suggests():
    grid = cells(3, 0.5)
    queue = CellQueue(grid)
    searcher = CellSearcher(CellQueue(grid), stack=1, num_slots=2)
    searcher.set_max_concurrency(3)
    for name in ("a", "b", "c"):
        suggested = searcher.suggest(name)["cells"]
        assert suggested == [cell_to_dict(cell) for cell in queue.take()]


@settings(max_examples=40, deadline=None)
@given(
    num_trainings=st.integers(1, 6),
    num_gpus=st.integers(1, 9),
    gpus_per_node=st.integers(1, 4),
    losses=st.sampled_from([0.0, 30.0, 120.0]),
    stack=st.integers(1, 3),
    is_empty=st.booleans(),
    max_retries=st.sampled_from([0, 2, 1_000]),
    seed=st.integers(0, 3),
)
def test_no_cell_and_no_second_is_lost(
    num_trainings, num_gpus, gpus_per_node, losses, stack, is_empty, max_retries, seed
):
    grid = cells(num_trainings, 0.5, 0.7, 0.9)
    costs = {
        "checkpoint_every": 3.0,
        "checkpoint_requests": ByPhase(1, 2),
        "lookup_requests": ByPhase(1, 2),
        "s3_latency": 0.1,
        "driver_trial": 0.2,
        "turnaround": 0.1,
        "process_start": 1.5,
        "setup": Line(0.3, 0.1),
        "loss_detection": 1.0,
        "node_start": 7.0,
        "max_retries": max_retries,
    }
    given_settings = {"losses_per_gpu_hour": losses, "stack": stack, "is_empty": is_empty, "seed": seed}
    outcome = run(grid, num_gpus, costs, gpus_per_node, **given_settings)
    assert sum(outcome.num_cells.values()) == len(grid)
    assert sum(outcome.slot_seconds.values()) == pytest.approx(outcome.gpu_seconds)
    assert all(seconds > -1e-9 for seconds in outcome.slot_seconds.values())
    all_steps = num_trainings * (10 + 3 * 4)
    if max_retries == 1_000 or not losses:
        assert outcome.num_cells["done"] == len(grid)
        assert outcome.slot_seconds[STEPS] == pytest.approx(all_steps)
    else:
        assert outcome.slot_seconds[STEPS] <= all_steps + 1e-6
    assert outcome.makespan_seconds >= 14 / 3  # a training and its pruning, in steps of at least a third
    assert outcome == run(grid, num_gpus, costs, gpus_per_node, **given_settings)


def test_another_seed_loses_other_nodes():
    def end(seed):
        costs = {"max_retries": 1_000}
        return run(cells(20), 4, costs, losses_per_gpu_hour=60.0, seed=seed).makespan_seconds

    assert end(1) == end(1)
    assert end(1) != end(2)


def test_nodes_are_lost_at_the_rate_that_is_asked_for():
    costs = {"max_retries": 1_000, "checkpoint_every": 1.0}
    runs = [run(cells(40), 4, costs, losses_per_gpu_hour=60.0, seed=seed) for seed in range(40)]
    expected = sum(outcome.gpu_seconds for outcome in runs) / 60
    assert expected > 250
    assert abs(sum(outcome.num_losses for outcome in runs) - expected) < 4 * expected**0.5


def test_server_and_requests_are_served_in_order():
    class Clock:
        now = 0.0

    clock = Clock()
    server = Server(clock)
    assert [server.take(2.0), server.take(3.0)] == [2.0, 5.0]
    clock.now = 4.0
    assert server.take(1.0) == 2.0
    clock.now = 10.0
    assert server.take(1.0) == 1.0
    assert server.busy_seconds == 7.0
    store = ObjectStore(
        clock, latency_seconds=0.1, bytes_per_second=50.0, limits_per_second={"read": 100.0, "write": 100.0}
    )
    assert store.ask("read", 3, 10.0) == pytest.approx(0.3 + 0.2)
    store.note("write", 30, 0.0, 5.0, 25.0)  # ten in each of three bins
    assert store.peak_per_second("write") == 10 / BIN_SECONDS


def test_costs_without_a_source_or_name_are_refused():
    entries = read_profiles()["two-cores"]
    assert costs_from_dict(entries).num_steps == ByPhase(600, 500)
    with pytest.raises(ValueError, match="turnaround has no source"):
        costs_from_dict(entries | {"turnaround": {"value": 1.0, "source": " "}})
    with pytest.raises(ValueError, match="speed missing or unknown"):
        costs_from_dict(entries | {"speed": {"value": 1.0, "source": "a guess"}})
    with pytest.raises(ValueError, match="'abacus': must be one of h100-s3, two-cores"):
        read_costs("abacus")


@pytest.mark.parametrize(("name", "value"), [("num_gpus", 0), ("stack", 0), ("losses_per_gpu_hour", -0.1)])
def test_impossible_clusters_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        Cluster(**({"num_gpus": 1} | {name: value}))


def test_lines_are_fitted_and_never_negative():
    assert measure.fit_line({2: 0.5, 8: 1.1, 16: 1.9}) == pytest.approx((0.3, 0.1))
    assert measure.fit_line({2: 0.0, 16: 1.4}).fixed == 0.0


def test_requests_and_bytes_are_those_that_were_counted():
    costs, counted = read_costs(scenarios.PROFILE), measure.s3_requests()
    for phase in ("train", "prune"):
        assert counted[phase] == {
            "read": costs.lookup_requests.of(phase),
            "write": costs.finish_requests.of(phase),
        }
        assert sum(counted[f"{phase} checkpoint"].values()) == costs.checkpoint_requests.of(phase)
    assert counted["poll"] == {"read": costs.poll_requests, "write": 0}
    sizes = measure.state_bytes(preset("paper").recipe)
    assert sizes["train"] == (costs.checkpoint_bytes.train, costs.final_bytes.train)
    assert sizes["prune"] == (costs.checkpoint_bytes.prune, costs.final_bytes.prune)


def test_error_of_the_prediction_is_that_of_the_median():
    stated = {"date": "2026-01-02T03:04:05.000+00:00", "load_before": [0.1, 0, 0], "load_after": [2.0, 0, 0]}
    check = {"conditions": stated, "predicted_seconds": 44.0, "measured_seconds": [50.0, 39.0, 40.0]}
    last_line = check_table(check).splitlines()[-1]
    assert last_line == "| 2026-01-02 03:04 | 44.0 | 40.0 (39.0 to 50.0) | +0.10 | 0.1, 2 |"


def test_what_takes_most_besides_steps():
    assert largest_loss({STEPS: 6.0, DRIVER: 3.0, NO_CELL: 1.0}) == "driver 0.30"


@pytest.fixture(scope="module")
def sections():
    return read_sections(DOCS / "results" / "scaling.json")


def test_the_simulations_are_those_of_today(sections):
    simulated = sections["simulations"]
    assert simulated["costs"] == read_profiles()[scenarios.PROFILE], "simulate again: a cost has changed"
    planned = list(scenarios.scenarios())
    assert [entry["name"] for entry in simulated["scenarios"]] == [each.name for each in planned]
    for scenario, entry in zip(planned, simulated["scenarios"], strict=True):
        if scenario.num_seeds <= 3:
            again = dataclasses.asdict(scenarios.run(scenario))
            assert again["makespan_seconds"] == pytest.approx(entry["outcome"]["makespan_seconds"])
            assert again["slot_seconds"] == pytest.approx(entry["outcome"]["slot_seconds"])


def test_the_tables_of_the_document_are_those_of_the_data(sections):
    document = (DOCS / "scaling.md").read_text()
    assert filled(document, all_tables(sections)) == document


def test_figure_has_a_line_for_each_size(sections):
    info = get_utilisation_info(sections["simulations"]["scenarios"])
    assert info.num_gpus == scenarios.GPUS
    assert list(info.lines) == [scenarios.num_cells(seeds) for seeds in scenarios.SEEDS]
    figure = plot_utilisation(info)
    assert [trace.name for trace in figure.data] == [f"{num:,} cells" for num in info.lines]
    assert figure.data[0].y == info.lines[90]
