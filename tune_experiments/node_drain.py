"""Notice that this process's node will be taken away: Ray drains it, e.g. since the cloud wants it back.

Ray places nothing more on such a node, but lets run what is there, and a process that Tune gives to the next
trial stays where it is. So a trial writes its checkpoint and ends its process, and Tune starts another one
elsewhere. For Ray that is a preemption only if the node itself dies first; for the driver not to count it as
a failure, the trial says beforehand that it leaves.
"""

from __future__ import annotations

import functools
import os
import threading
import time

import ray
from ray import tune
from ray._private.state import state

POLL_SECONDS = 2.0
LEAVES_NODE = "leaves_node"  # key of a trial's last report


class NodeDrain:
    """Whether Ray drains the node of this process; asked of Ray in a thread, since an answer may be late."""

    def __init__(self) -> None:
        self._node = ray.get_runtime_context().get_node_id()
        self._begun = threading.Event()
        threading.Thread(target=self._poll, name="node-drain", daemon=True).start()

    @property
    def begun(self) -> bool:
        """Whether it does; for good."""
        return self._begun.is_set()

    def _poll(self) -> None:
        while not self._begun.is_set():
            # Ray Train reads the same; there is no public way. A node that cannot ask is lost in any case.
            if self._node in state.get_draining_nodes():
                self._begun.set()
            else:
                time.sleep(POLL_SECONDS)


@functools.cache
def node_drain() -> NodeDrain:
    """The one of this process."""
    return NodeDrain()


def leave_node() -> None:
    """Tell the driver, then end this process; what is to stay has been written."""
    tune.report({LEAVES_NODE: True})  # returns when the driver has seen it
    os._exit(0)
