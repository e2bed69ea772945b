"""What all trials share and wait for: one at a time, in the order in which they came."""

from __future__ import annotations

from collections import defaultdict

import simpy

BIN_SECONDS = 10.0


class Server:
    """First come, first served, one at a time.

    Attributes:
        busy_seconds: work taken on so far.

    Args:
        env: the clock.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env, self._free_seconds, self.busy_seconds = env, 0.0, 0.0

    def take(self, work_seconds: float) -> float:
        """Take on a piece of work; seconds from now until it is done."""
        begin_seconds = max(float(self._env.now), self._free_seconds)
        self._free_seconds = begin_seconds + work_seconds
        self.busy_seconds += work_seconds
        return self._free_seconds - float(self._env.now)


class ObjectStore:
    """Requests one after the other from each client, and a rate that all clients together cannot exceed.

    Attributes:
        num_requests: by kind, `read` and `write`.
        num_bytes: by kind.

    Args:
        env: the clock.
        latency_seconds: of a request.
        bytes_per_second: of one client's transfer.
        limits_per_second: requests that the service answers, by kind.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        latency_seconds: float,
        bytes_per_second: float,
        limits_per_second: dict[str, float],
    ) -> None:
        self._latency_seconds, self._bytes_per_second = latency_seconds, bytes_per_second
        self._limits, self._gates = limits_per_second, {kind: Server(env) for kind in limits_per_second}
        self._env = env
        self.num_requests: defaultdict[str, float] = defaultdict(float)
        self.num_bytes: defaultdict[str, float] = defaultdict(float)
        self._bins: dict[str, defaultdict[int, float]] = {
            kind: defaultdict(float) for kind in limits_per_second
        }

    def ask(self, kind: str, num_requests: float, num_bytes: float) -> float:
        """Requests that begin now; seconds until the last is answered."""
        gate_seconds = self._gates[kind].take(num_requests / self._limits[kind])
        self.note(kind, num_requests, num_bytes, float(self._env.now), float(self._env.now))
        return max(gate_seconds, self.seconds(num_requests, num_bytes))

    def seconds(self, num_requests: float, num_bytes: float) -> float:
        """Time of requests that nobody else holds up."""
        return num_requests * self._latency_seconds + num_bytes / self._bytes_per_second

    def note(self, kind: str, num_requests: float, num_bytes: float, begin: float, end: float) -> None:
        """Count requests that are spread evenly over a time, both ends in seconds."""
        self.num_requests[kind] += num_requests
        self.num_bytes[kind] += num_bytes
        first, last = int(begin // BIN_SECONDS), int(end // BIN_SECONDS)
        for index in range(first, last + 1):
            self._bins[kind][index] += num_requests / (last - first + 1)

    def peak_per_second(self, kind: str) -> float:
        """Requests a second in the busiest ten seconds."""
        return max(self._bins[kind].values(), default=0) / BIN_SECONDS
