"""Which faults there are, and the choice that a seed makes of them."""

from __future__ import annotations

import random

# Every kind, and what happens. "Frozen" means SIGSTOP, damage, SIGKILL: the process has no time to mend it.
KINDS = {
    "worker-killed": "SIGKILL to the process of a running cell; a kill for lack of memory looks the same",
    "checkpoint-corrupted": "a running cell is frozen, one byte of its newest checkpoint changed, and killed",
    "checkpoint-truncated": "a running cell is frozen, its newest checkpoint cut in half, and killed",
    "attempts-torn": "a running cell is frozen, its attempts.json cut in half, and killed",
    "failure-torn": "a running cell is frozen, gets half a failure.json, and is killed",
    "record-torn-early": "a running cell is frozen, gets half a record.json, and is killed",
    "record-destroyed": "the record.json of a finished cell is cut in half: that cell has to be run again",
    "stop-garbage": "half a stop.json appears",
    "stray-files": "temporary files, a folder and an empty checkpoint appear",
    "second-driver": "the same command is given once more: it has to be refused",
    "clock-back": "the heartbeat is set back 5 hours, then as second-driver",
    "driver-killed": "SIGKILL to the driver, and the same command again at once",
    "clock-forward": "as driver-killed, and the dead driver's heartbeat lies 5 hours ahead",
    "stale-lock": "as driver-killed, and the dead driver's process id now belongs to a living process",
    "interrupted": "Ctrl-C, and the same command again",
    "terminated": "SIGTERM, and the same command again",
    "disk-full": "no byte fits on the disk for some seconds",
    "node-killed": "SIGKILL to a raylet, and another one joins",
}
NEEDS_DISK = frozenset({"disk-full"})
NEEDS_CLUSTER = frozenset({"node-killed"})


def draw_faults(seed: int, num_faults: int, *, on_cluster: bool, with_disk: bool) -> list[str]:
    """The faults of one sweep, in order.

    Every possible kind comes once as long as there is room, the rest is drawn evenly with replacement, and
    the order is shuffled. The seed decides all of that, and which cells and bytes are hit among those at
    hand; it does not decide the timing, which is the machine's.

    Args:
        seed: of the choice.
        num_faults: how many.
        on_cluster: whether nodes can be killed.
        with_disk: whether the disk can be filled.

    Raises:
        ValueError: `num_faults` is negative.
    """
    if num_faults < 0:
        raise ValueError(f"num_faults = {num_faults}: must be at least 0")
    excluded = (frozenset() if on_cluster else NEEDS_CLUSTER) | (frozenset() if with_disk else NEEDS_DISK)
    possible = [kind for kind in KINDS if kind not in excluded]
    rng = random.Random(seed)
    chosen = rng.sample(possible, min(num_faults, len(possible)))
    chosen += rng.choices(possible, k=num_faults - len(chosen))
    rng.shuffle(chosen)
    return chosen
