"""Learning rates, the sparsity ramp and the rhythm of mask updates, as pure functions of the step.

Two counts of one step: `step` is the number of steps completed before it (0 for the first), as learning rates
use it; `completed` is the number after it, as the surgery that follows the step uses it.
"""

from __future__ import annotations

from rc_core.recipes import PruneSchedule, TrainSchedule


def train_learning_rate(schedule: TrainSchedule, step: int) -> float:
    """Piecewise-constant rate; a boundary step itself still has the rate before it (as in TensorFlow).

    Compared in integers, so that a scaled schedule changes at exactly the same fraction of the run.

    Args:
        schedule: boundaries in reference steps.
        step: steps completed before this one, >= 0.
    """
    reference_step = step * schedule.reference_steps
    for boundary, rate in zip(schedule.boundary_steps, schedule.learning_rates, strict=False):
        if reference_step <= boundary * schedule.num_steps:
            return rate
    return schedule.learning_rates[-1]


def prune_learning_rate(schedule: PruneSchedule, step: int) -> float:
    """Inverse-time decay: rate / (1 + decay * step / num_steps)."""
    return schedule.learning_rate / (1 + schedule.learning_rate_decay * step / schedule.num_steps)


def target_sparsity(schedule: PruneSchedule, sparsity: float, completed: int) -> float:
    """Cubic ramp S (1 - (1 - min(t, R)/R)^3), R = ramp_fraction * num_steps (Zhu and Gupta 2017, eq. 1)."""
    ramp_steps = schedule.ramp_fraction * schedule.num_steps
    remaining = 1 - min(completed, ramp_steps) / ramp_steps
    return sparsity * (1 - remaining**3)


def update_probability(schedule: PruneSchedule, completed: int) -> float:
    """Probability that a kernel's mask is updated after this step: inverse time in stairs, with a floor."""
    stair = schedule.num_probability_stairs * completed // schedule.num_steps
    return max(schedule.min_update_probability, 1 / (1 + schedule.probability_decay * stair))


def threshold_due(schedule: PruneSchedule, completed: int) -> bool:
    """Whether thresholds are refreshed after this step: `num_threshold_updates` times in the run.

    For the paper's 20,000 steps and 40 refreshes these are the steps divisible by 500.
    """
    updates, steps = schedule.num_threshold_updates, schedule.num_steps
    return updates * completed // steps != updates * (completed - 1) // steps
