from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.recipes import PruneSchedule, TrainSchedule
from rc_core.schedules import (
    prune_learning_rate,
    target_sparsity,
    threshold_due,
    train_learning_rate,
    update_probability,
)

PAPER_TRAINING = TrainSchedule()
PAPER_PRUNING = PruneSchedule()

budgets = st.integers(1, 30_000)
sparsities = st.floats(0, 0.999)


@st.composite
def budgets_and_steps(draw: st.DrawFn) -> tuple[int, int]:
    num_steps = draw(budgets)
    return num_steps, draw(st.integers(0, num_steps))


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.001),
        (399, 0.001),
        (400, 0.001),
        (401, 0.1),
        (32_000, 0.1),
        (32_001, 0.01),
        (48_000, 0.01),
        (48_001, 0.001),
        (63_999, 0.001),
    ],
)
def test_the_paper_s_training_rate(step, rate):
    assert train_learning_rate(PAPER_TRAINING, step) == rate


def test_the_digits_training_rate():
    # 400/64000 * 600 = 3.75, so step 3 is the last of the warm-up; 300 and 450 are boundaries themselves.
    schedule = TrainSchedule(num_steps=600)
    rates = [train_learning_rate(schedule, step) for step in range(600)]
    assert rates == [0.001] * 4 + [0.1] * 297 + [0.01] * 150 + [0.001] * 149


@given(budgets_and_steps())
def test_a_scaled_training_rate_changes_at_the_same_fractions(budget_and_step):
    num_steps, step = budget_and_step
    fraction = Fraction(step, num_steps)
    wanted = (
        0.001
        if fraction <= Fraction(1, 160)
        else 0.1
        if fraction <= Fraction(1, 2)
        else 0.01
        if fraction <= Fraction(3, 4)
        else 0.001
    )
    assert train_learning_rate(TrainSchedule(num_steps=num_steps), step) == wanted


def test_a_constant_training_rate():
    schedule = TrainSchedule(num_steps=10, boundary_steps=(), learning_rates=(0.2,))
    assert {train_learning_rate(schedule, step) for step in range(10)} == {0.2}


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.05),
        (200, 0.05 / 1.1),
        (2_000, 0.025),
        (10_000, 0.05 / 6),
        (19_999, 0.05 / 10.9995),
        (20_000, 0.05 / 11),
    ],
)
def test_the_paper_s_pruning_rate(step, rate):
    assert prune_learning_rate(PAPER_PRUNING, step) == pytest.approx(rate, rel=1e-14)


@pytest.mark.parametrize(
    ("completed", "fraction_of_target"),
    [
        (0, 0),
        (500, 1 - (29 / 30) ** 3),
        (5_000, 1 - 8 / 27),
        (7_500, 7 / 8),
        (10_000, 26 / 27),
        (15_000, 1),
        (15_001, 1),
        (20_000, 1),
    ],
)
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_the_paper_s_ramp(completed, fraction_of_target, sparsity):
    assert target_sparsity(PAPER_PRUNING, sparsity, completed) == pytest.approx(
        sparsity * fraction_of_target, rel=1e-14, abs=1e-300
    )


def test_the_ramp_ends_at_the_target_to_the_last_bit():
    for sparsity in (0.5, 0.7, 0.8, 0.9, 0.95):
        assert target_sparsity(PAPER_PRUNING, sparsity, 15_000) == sparsity
        assert target_sparsity(PruneSchedule(num_steps=500), sparsity, 375) == sparsity


@pytest.mark.parametrize(
    ("completed", "probability"),
    [
        (1, 1),
        (99, 1),
        (100, 1 / 1.2),
        (199, 1 / 1.2),
        (500, 1 / 2),
        (1_000, 1 / 3),
        (10_000, 1 / 21),
        (20_000, 1 / 41),
    ],
)
def test_the_paper_s_update_probability(completed, probability):
    assert update_probability(PAPER_PRUNING, completed) == pytest.approx(probability, rel=1e-14)


def test_the_floor_under_the_update_probability():
    # T = 500: a stair is 2.5 steps; 1/(1 + .2 k) falls below .25 after k = 15, that is from step 40 on.
    schedule = PruneSchedule(num_steps=500, min_update_probability=0.25)
    assert update_probability(schedule, 2) == 1
    assert update_probability(schedule, 3) == pytest.approx(1 / 1.2)
    assert update_probability(schedule, 5) == pytest.approx(1 / 1.4)
    assert update_probability(schedule, 37) == pytest.approx(1 / 3.8)
    assert update_probability(schedule, 40) == 0.25
    assert update_probability(schedule, 500) == 0.25


def test_the_paper_s_thresholds_are_refreshed_at_multiples_of_500():
    due = [completed for completed in range(1, 20_001) if threshold_due(PAPER_PRUNING, completed)]
    assert due == list(range(500, 20_001, 500))


@given(st.integers(1, 5_000), st.integers(1, 60))
def test_the_number_of_refreshes_is_kept_for_any_budget_that_allows_it(num_steps, num_updates):
    schedule = PruneSchedule(num_steps=num_steps, num_threshold_updates=num_updates)
    due = [completed for completed in range(1, num_steps + 1) if threshold_due(schedule, completed)]
    assert len(due) == min(num_updates, num_steps)
    assert due[-1] == num_steps
    if num_updates <= num_steps:  # evenly: refresh k is the first step at or after its fraction of the run
        assert due == [-(-k * num_steps // num_updates) for k in range(1, num_updates + 1)]


@given(budgets_and_steps(), sparsities)
def test_the_ramp_rises_from_zero_to_the_target(budget_and_step, sparsity):
    num_steps, completed = budget_and_step
    schedule = PruneSchedule(num_steps=num_steps)
    now, later = (target_sparsity(schedule, sparsity, step) for step in (completed, completed + 1))
    assert 0 <= now <= later <= sparsity
    assert target_sparsity(schedule, sparsity, 0) == 0
    assert target_sparsity(schedule, sparsity, num_steps) == sparsity


@given(budgets_and_steps(), st.floats(0, 1))
def test_the_update_probability_falls_within_its_bounds(budget_and_step, floor):
    num_steps, completed = budget_and_step
    schedule = PruneSchedule(num_steps=num_steps, min_update_probability=floor)
    now, later = (update_probability(schedule, step) for step in (completed, completed + 1))
    assert floor <= later <= now <= 1
    assert update_probability(schedule, 0) == 1


@given(budgets_and_steps())
def test_the_pruning_rate_falls_from_its_start_to_an_eleventh(budget_and_step):
    num_steps, step = budget_and_step
    schedule = PruneSchedule(num_steps=num_steps)
    now, later = (prune_learning_rate(schedule, s) for s in (step, step + 1))
    assert later < now
    assert 0.05 / 11 * (1 - 1e-12) <= now <= 0.05


@given(st.integers(1, 200), st.integers(0, 100))
def test_a_scaled_pruning_has_the_paper_s_values_at_the_same_fractions(num_steps, percent):
    # Where the fraction is a whole step of both runs.
    if num_steps * percent % 100:
        return
    scaled, step, paper_step = (
        PruneSchedule(num_steps=num_steps),
        num_steps * percent // 100,
        200 * percent,
    )
    assert prune_learning_rate(scaled, step) == pytest.approx(
        prune_learning_rate(PAPER_PRUNING, paper_step), rel=1e-12
    )
    assert target_sparsity(scaled, 0.9, step) == pytest.approx(
        target_sparsity(PAPER_PRUNING, 0.9, paper_step), rel=1e-9, abs=1e-12
    )
    assert update_probability(scaled, step) == update_probability(PAPER_PRUNING, paper_step)
