"""Nodes of a cluster that would not compute what the driver's code computes: the sweep ends before they do.

Each node is asked when the sweep begins or when it joins, by a task that needs nothing of ours there. A trial
that such a node takes before its answer is in looks for itself (`node_problem`), and gives its cells back.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rc_core.experiment import DRIVER_FILE, DamagedFileError, read_json
from rc_core.provenance import host_name
from rc_core.storage import LocalStorage, Storage
from tune_experiments import node_versions
from tune_experiments.node_versions import describe_node, differences
from tune_experiments.plan import PlanError
from tune_experiments.queue import CellQueue

NODE_PROBLEM = "node_problem"  # key of a trial's report
LOOK_SECONDS = 5.0
ANSWER_SECONDS = 60.0
# A network file system may show another host's file some seconds late.
VISIBLE_SECONDS = 10.0

logger = logging.getLogger("ray.rcsweep")


def node_problem(experiment: Storage, driver_token: str, versions: Mapping[str, str]) -> str | None:
    """Why this node must not run trials of a driver; None where it may. Asked by the trial itself.

    Args:
        experiment: as the trial opened it.
        driver_token: which is in the heartbeat that the driver writes.
        versions: the driver's.
    """
    lines = differences(versions, describe_node())
    if lines:
        return _versions_problem(host_name(), lines)
    if isinstance(experiment, LocalStorage) and not _sees_driver(experiment, driver_token):
        return (
            f"node {host_name()} does not see what the driver writes to {experiment.location}: with several "
            "nodes --storage must be s3://bucket/prefix, or a folder of a file system that every node mounts "
            "at the same path"
        )
    return None


def _sees_driver(experiment: Storage, driver_token: str) -> bool:
    deadline_seconds = time.monotonic() + VISIBLE_SECONDS
    while True:
        try:
            beat = read_json(experiment, DRIVER_FILE)
        except (DamagedFileError, OSError):
            beat = None
        if beat is not None and beat.get("token") == driver_token:
            return True
        if time.monotonic() > deadline_seconds:
            return False
        time.sleep(0.5)


def _versions_problem(node: str, lines: Iterable[str]) -> str:
    return (
        f"node {node} differs from the driver: {'; '.join(lines)}; bring code and packages of every node to "
        "one state (`ray up` with the cluster's YAML does), then give the same command again"
    )


class NodeWatch(tune.Callback):
    """Asks every node with CPUs what it runs, and ends the sweep in order when one differs.

    It has to stand before the callback that forgets what trials report.

    Attributes:
        problems: one line for each node that must not be used.

    Args:
        queue: the sweep's cells; stopped when there is a problem.
        versions: the driver's.
    """

    def __init__(self, queue: CellQueue, versions: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._queue, self._versions = queue, versions
        self._asked: set[str] = set()
        self._answers: dict[Any, str] = {}  # pending answer -> node's name
        self._next_seconds = 0.0
        cloudpickle.register_pickle_by_value(sys.modules[node_versions.__name__])

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; nothing of this one is ever restored."""
        return {}

    def require_equal_nodes(self) -> None:
        """Ask the nodes that are there, and wait for what they say.

        Raises:
            PlanError: one differs from the driver; the message names each with its versions.
        """
        self._ask_new_nodes()
        self._collect(ANSWER_SECONDS)
        if self.problems:
            raise PlanError("\n".join(self.problems))

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look for nodes that joined, and for answers."""
        if time.monotonic() < self._next_seconds:
            return
        self._next_seconds = time.monotonic() + LOOK_SECONDS
        self._ask_new_nodes()
        self._collect(0.0)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial may have found that its node must not run it."""
        problem = trial.last_result.get(NODE_PROBLEM)
        if problem is not None:
            self._add(problem)

    def _ask_new_nodes(self) -> None:
        for node in ray.nodes():
            if not node["Alive"] or not node["Resources"].get("CPU") or node["NodeID"] in self._asked:
                continue
            self._asked.add(node["NodeID"])
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, max_retries=0)(describe_node).options(scheduling_strategy=here)
            self._answers[task.remote()] = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"

    def _collect(self, limit_seconds: float) -> None:
        pending = list(self._answers)
        if not pending:
            return
        answered, _ = ray.wait(pending, num_returns=len(pending), timeout=limit_seconds)
        for answer in answered:
            node = self._answers.pop(answer)
            try:
                lines = differences(self._versions, ray.get(answer))
            except ray.exceptions.RayError as error:  # e.g. the node is gone already
                logger.warning("node %s was asked for its versions and did not answer: %s", node, error)
                continue
            if lines:
                self._add(_versions_problem(node, lines))

    def _add(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
        self._queue.stop()
