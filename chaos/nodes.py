"""A small Ray cluster on this machine: real raylets, of which one is killed now and then."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

START_LIMIT_SECONDS = 180.0

# One for all clusters of this process, since Ray reads it only once.
_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


class Nodes:
    """A head without CPUs and workers with one CPU each.

    Attributes:
        address: for `rcsweep run --address`.
        environment: what a driver needs to be let in.

    Args:
        cluster: of `ray.cluster_utils`, with the head only.
        num_workers: how many to start.
        environment: see above.
    """

    def __init__(self, cluster: Any, num_workers: int, environment: dict[str, str]) -> None:
        self._cluster = cluster
        self.environment = environment
        self.address = str(cluster.address)
        self._workers = [self._add() for _ in range(num_workers)]

    def _add(self) -> Any:
        node = self._cluster.add_node(num_cpus=1, wait=False)
        self._cluster.wait_for_nodes(timeout=START_LIMIT_SECONDS)
        return node

    def kill_one(self, rng: random.Random) -> None:
        """SIGKILL the processes of one worker node, trials included once they notice."""
        node = self._workers.pop(rng.randrange(len(self._workers)))
        self._cluster.remove_node(node, allow_graceful=False)

    def add_one(self) -> None:
        """Let another worker node join. Main thread only: Ray installs signal handlers."""
        self._workers.append(self._add())


@contextlib.contextmanager
def ray_nodes(num_workers: int, environment: Mapping[str, str] | None = None) -> Iterator[Nodes]:
    """A cluster for the length of the context. Its ports want a token, which lies in the environment only.

    Args:
        num_workers: nodes beside the head.
        environment: added to that of every node, and so of every trial.
    """
    added = {**_TOKEN, **(environment or {})}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield Nodes(cluster, num_workers, _TOKEN)
    finally:
        cluster.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
