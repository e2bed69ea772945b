"""A sweep in simulated time: cells, trials, slots, nodes, and the losses of nodes.

The order of cells, who waits for whom, what becomes of the children of failed parents, and how many cells a
trial gets is not modelled: the product's own `CellQueue` and `CellSearcher` say it.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.scaling.cluster import (
    CHECKPOINTS,
    DRIVER,
    KINDS,
    NO_CELL,
    REDONE,
    SETUP,
    START,
    STEPS,
    STORAGE,
    Cluster,
    Outcome,
)
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.server import ObjectStore, Server
from rc_core.cells import Cell, cell_from_dict
from tune_experiments.queue import DONE, FAILED, PARENT_FAILED, CellQueue
from tune_experiments.searcher import CellSearcher

Process = Generator[simpy.Event, Any, None]


@dataclass(eq=False)
class Trial:
    """Cells that run together.

    Attributes:
        name: by which the searcher knows it.
        cells: of one kind.
        progress: part of the steps that the newest checkpoint holds.
        num_attempts: begun and lost.
        begin_seconds: when the steps of this attempt began; None while there are none.
        all_seconds: of all steps.
    """

    name: str
    cells: list[Cell]
    progress: float = 0.0
    num_attempts: int = 0
    begin_seconds: float | None = None
    all_seconds: float = 0.0

    def done(self, now_seconds: float) -> float:
        """Part of the steps done, while there are some."""
        assert self.begin_seconds is not None, "asked while steps are done"
        return min(1.0, self.progress + (now_seconds - self.begin_seconds) / self.all_seconds)


@dataclass(eq=False)
class Node:
    """A worker: its slots' processes, and since when it has been there."""

    num_slots: int
    joined_seconds: float = 0.0
    slots: list[simpy.Process] = field(default_factory=list)


def simulate(cells: Iterable[Cell], costs: Costs, cluster: Cluster) -> Outcome:
    """Run a sweep in simulated time.

    Args:
        cells: parents first.
        costs: what things cost.
        cluster: what it runs on.
    """
    return _Sweep(cells, costs, cluster).run()


class _Sweep:
    def __init__(self, cells: Iterable[Cell], costs: Costs, cluster: Cluster) -> None:
        self._costs, self._cluster = costs, cluster
        self._queue = CellQueue(cells)
        self._env = simpy.Environment()
        self._rng = random.Random(cluster.seed)
        self._driver, self._head = Server(self._env), Server(self._env)
        self._store = ObjectStore(
            self._env,
            latency_seconds=costs.s3_latency,
            bytes_per_second=costs.s3_bytes_per_second,
            limits_per_second={"read": costs.s3_reads_per_second, "write": costs.s3_writes_per_second},
        )
        self._pending: simpy.Store = simpy.Store(self._env)
        self._over = self._env.event()
        self._joined: list[Node] = []
        self._num_starting = self._num_running = self._num_trials = self._num_losses = 0
        self._most_slots = 0
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._gpu_seconds = self._broadcast_seconds = 0.0
        self._kept: dict[str, float] = {}  # progress of cells whose stack was given up
        first_slots = 0 if cluster.is_empty else cluster.num_gpus
        bound = sys.maxsize if cluster.max_pending is None else max(first_slots, cluster.max_pending)
        self._max_trials = first_slots if cluster.is_local else bound
        self._searcher = CellSearcher(
            self._queue,
            stack=cluster.stack,
            num_slots=max(1, first_slots),
            clock=lambda: float(self._env.now),
        )
        self._searcher.set_max_concurrency(self._max_trials)
        self._names = itertools.count()
        self._stepping: set[Trial] = set()

    def run(self) -> Outcome:
        env, cluster = self._env, self._cluster
        self._free_sizes = cluster.node_sizes[::-1]
        if not cluster.is_empty:
            for _ in cluster.node_sizes:
                self._launch(0.0)
        self._suggest()
        env.process(self._signs_of_life())
        env.run(until=self._over)
        makespan = float(env.now)
        for node in list(self._joined):
            self._leave(node)
        env.run(until=makespan + 1e-9)  # lets the interrupted slots book what they spent
        queue = self._queue
        store = self._store
        return Outcome(
            num_cells={state: queue.count(state) for state in (DONE, FAILED, PARENT_FAILED)},
            num_trials=self._num_trials,
            num_losses=self._num_losses,
            makespan_seconds=makespan,
            slot_seconds={kind: self._spent[kind] for kind in KINDS},
            gpu_seconds=self._gpu_seconds,
            most_slots=self._most_slots,
            driver_load=min(1.0, self._driver.busy_seconds / makespan),
            broadcast_seconds=self._broadcast_seconds,
            requests=dict(store.num_requests),
            peak_requests_per_second={kind: store.peak_per_second(kind) for kind in ("read", "write")},
            bytes=dict(store.num_bytes),
        )

    # The driver

    def _suggest(self) -> None:
        """Make trials of what is ready, as many as may wait; ask for nodes; notice the end."""
        queue = self._queue
        while (trial := self._next_trial()) is not None:
            self._pending.put(trial)
        if queue.exhausted and not queue.num_stacks and not self._over.triggered:
            self._over.succeed()
        self._scale()

    def _next_trial(self) -> Trial | None:
        name = str(next(self._names))
        if self._cluster.stack == 1:  # what the searcher would say, without its look at all that runs
            cells = self._queue.take() if self._queue.num_stacks < self._max_trials else []
        else:
            config = self._searcher.suggest(name)
            cells = [cell_from_dict(each) for each in config["cells"]] if isinstance(config, dict) else []
        progress = min((self._kept.get(cell.cell_id, 0.0) for cell in cells), default=0.0)
        return Trial(name, cells, progress) if cells else None

    def _scale(self) -> None:
        """Start the nodes that are missing: of the whole cluster, or for the trials that there are."""
        cluster = self._cluster
        num_wanted = len(cluster.node_sizes)
        if cluster.is_empty:
            num_wanted = min(num_wanted, math.ceil(self._queue.num_stacks / cluster.gpus_per_node))
        while not self._over.triggered and len(self._joined) + self._num_starting < num_wanted:
            self._launch(self._costs.node_start)

    def _signs_of_life(self) -> Process:
        """Reports of the trials, the driver's heartbeat, and the trials' looks for a request to stop."""
        costs = self._costs
        while True:
            yield self._env.timeout(costs.beat_every)
            num_reports = self._num_running * costs.beat_every / costs.report_every
            beat_seconds = costs.driver_beat_per_cell * len(self._queue.cells)
            self._driver.take(num_reports * costs.driver_report + beat_seconds)
            for trial in self._stepping if self._cluster.stack > 1 else ():
                told = {"step": trial.done(float(self._env.now)), "num_steps": 1.0}
                self._searcher.on_trial_result(trial.name, told)
            if costs.poll_requests:
                polls = self._num_running * costs.beat_every / costs.poll_every
                self._store.ask("read", polls * costs.poll_requests + 1, 0)
                self._store.ask("write", 1, 0)

    # Nodes

    def _launch(self, after_seconds: float) -> None:
        self._num_starting += 1
        self._env.process(self._live(Node(self._free_sizes.pop()), after_seconds))

    def _live(self, node: Node, after_seconds: float) -> Process:
        """A node from its start to its loss or the end of the sweep."""
        env, costs, rate = self._env, self._costs, self._cluster.losses_per_gpu_hour
        yield env.timeout(after_seconds)
        self._num_starting -= 1
        if self._over.triggered:
            return
        self._joined.append(node)
        node.joined_seconds = float(env.now)
        self._most_slots = max(self._most_slots, sum(each.num_slots for each in self._joined))
        data_seconds = self._head.take(costs.data_bytes / costs.head_bytes_per_second)
        if not self._num_losses:
            self._broadcast_seconds = max(self._broadcast_seconds, float(env.now) + data_seconds)
        node.slots = [env.process(self._slot(data_seconds)) for _ in range(node.num_slots)]
        if not rate:
            return
        yield env.timeout(self._rng.expovariate(rate / 3600))
        if node in self._joined:
            self._num_losses += 1
            self._leave(node)
            self._scale()

    def _leave(self, node: Node) -> None:
        self._joined.remove(node)
        self._free_sizes.append(node.num_slots)
        self._gpu_seconds += node.num_slots * (float(self._env.now) - node.joined_seconds)
        for slot in node.slots:
            slot.interrupt()

    # Slots

    def _slot(self, data_seconds: float) -> Process:
        """A slot takes trial after trial, until its node is lost or the sweep is over."""
        trial: Trial | None = None
        try:
            yield from self._spend(START, data_seconds + self._costs.process_start)
            while True:
                trial = yield from self._wait_for_trial()
                self._num_running += 1
                self._num_trials += 1
                yield from self._run_trial(trial)
                self._num_running -= 1
                yield from self._spend(DRIVER, self._driver.take(self._costs.driver_trial / 2))
                self._finish(trial)
                trial = None
        except simpy.Interrupt:
            if trial is not None:
                self._env.process(self._lose(trial))

    def _spend(self, kind: str, seconds: float) -> Process:
        begin_seconds = float(self._env.now)
        try:
            yield self._env.timeout(seconds)
        finally:
            self._spent[kind] += float(self._env.now) - begin_seconds

    def _wait_for_trial(self) -> Generator[simpy.Event, Any, Trial]:
        begin_seconds = float(self._env.now)
        request = self._pending.get()
        try:
            trial: Trial = yield request
            return trial
        except simpy.Interrupt:
            if request.triggered:
                self._pending.put(request.value)
            else:
                request.cancel()
            raise
        finally:
            self._spent[NO_CELL] += float(self._env.now) - begin_seconds

    def _run_trial(self, trial: Trial) -> Process:
        """From the driver's word to the last file; a loss interrupts it anywhere."""
        costs, store = self._costs, self._store
        phase, num_cells = trial.cells[0].phase, len(trial.cells)
        yield from self._spend(DRIVER, self._driver.take(costs.driver_trial / 2) + costs.turnaround)
        parents = {cell.parent.cell_id for cell in trial.cells if cell.parent is not None}
        read_bytes = len(parents) * costs.final_bytes.train
        if trial.progress:
            read_bytes += num_cells * costs.checkpoint_bytes.of(phase)
        reads = num_cells * costs.lookup_requests.of(phase)
        yield from self._spend(STORAGE, store.ask("read", reads, read_bytes) if reads else 0.0)
        yield from self._spend(SETUP, costs.setup.of(num_cells))
        yield from self._do_steps(trial, phase, num_cells)
        yield from self._spend(SETUP, costs.finish.of(num_cells))
        writes = num_cells * costs.finish_requests.of(phase)
        final_bytes = num_cells * costs.final_bytes.of(phase)
        yield from self._spend(STORAGE, store.ask("write", writes, final_bytes) if writes else 0.0)

    def _do_steps(self, trial: Trial, phase: str, num_cells: int) -> Process:
        """The steps that are left, with a checkpoint of every cell now and then, none after the last."""
        costs, store, env = self._costs, self._store, self._env
        all_seconds = costs.step_seconds(phase, num_cells)
        left_seconds = all_seconds * (1 - trial.progress)
        every = costs.checkpoint_every
        num_checkpoints = max(0, math.ceil(left_seconds / every) - 1)
        requests = num_cells * costs.checkpoint_requests.of(phase)
        num_bytes = num_cells * costs.checkpoint_bytes.of(phase)
        one_seconds = store.seconds(requests, num_bytes)
        begin_seconds = float(env.now)
        lost_seconds = 0.0
        trial.begin_seconds, trial.all_seconds = begin_seconds, all_seconds
        self._stepping.add(trial)
        try:
            yield env.timeout(left_seconds + num_checkpoints * one_seconds)
            trial.progress = 1.0
        except simpy.Interrupt:
            spent_seconds = float(env.now) - begin_seconds
            num_checkpoints = min(num_checkpoints, int(spent_seconds // (every + one_seconds)))
            left_seconds = num_checkpoints * every
            lost_seconds = spent_seconds - left_seconds - num_checkpoints * one_seconds
            trial.progress += left_seconds / all_seconds
            raise
        finally:
            self._stepping.remove(trial)
            self._spent[STEPS] += left_seconds
            self._spent[REDONE] += lost_seconds
            self._spent[CHECKPOINTS] += num_checkpoints * one_seconds
            if num_checkpoints:
                count, size = num_checkpoints * requests, num_checkpoints * num_bytes
                store.note("write", count, size, begin_seconds, float(env.now))

    def _finish(self, trial: Trial) -> None:
        self._end_trial(trial)
        for cell in trial.cells:
            self._queue.finish(cell.cell_id)
        self._suggest()

    def _end_trial(self, trial: Trial) -> None:
        self._queue.end_stack()
        self._searcher.on_trial_complete(trial.name)

    def _lose(self, trial: Trial) -> Process:
        """What the driver does about a trial whose node was lost, once it knows."""
        self._num_running -= 1
        yield self._env.timeout(self._costs.loss_detection)
        trial.num_attempts += 1
        if trial.num_attempts <= self._costs.max_retries:
            self._pending.put(trial)
            return
        self._end_trial(trial)
        for cell in trial.cells:
            if len(trial.cells) == 1:
                self._queue.fail(cell.cell_id, "lost too often")
            else:
                self._kept[cell.cell_id] = trial.progress
                self._queue.give_back(cell.cell_id, alone=True)
        self._suggest()
