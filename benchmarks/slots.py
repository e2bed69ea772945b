"""Worker processes of one candidate that work at the same time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.harness import Burst
from benchmarks.scenarios import Candidate, Scenario
from benchmarks.trees import Tree

_TAIL_CHARACTERS = 2_000
_END_SECONDS = 20


class WorkerError(RuntimeError):
    """A worker ended, or runs other code than it should."""


class Slots:
    """A candidate's processes, as something that `harness.compare` can call.

    Args:
        scenario: what is measured.
        candidate: one of its candidates.
        tree: whose code the workers run.
        burst_seconds: length of a turn.
    """

    def __init__(self, scenario: Scenario, candidate: Candidate, tree: Tree, burst_seconds: float) -> None:
        self._work_per_step = scenario.work_per_step
        self._burst_seconds = burst_seconds
        self._workers = [_Worker(scenario, candidate, tree) for _ in range(candidate.num_processes)]

    def wait_until_ready(self) -> None:
        """Wait for all workers to have loaded their data.

        Raises:
            WorkerError: one ended or has imported other code than the tree's.
        """
        for worker in self._workers:
            worker.require_ready()

    def __call__(self) -> list[Burst]:
        """One turn: every worker is asked, then all are waited for."""
        for worker in self._workers:
            worker.ask({"burst_seconds": self._burst_seconds})
        answers = [worker.answer() for worker in self._workers]
        return [Burst(work=each["steps"] * self._work_per_step, seconds=each["seconds"]) for each in answers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()


def _variables(candidate: Candidate) -> dict[str, str]:
    """Of the environment; glibc reads this one when a process starts."""
    return {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} if candidate.huge_pages else {}


class _Worker:
    """One process; what it writes to stderr is kept for error messages."""

    def __init__(self, scenario: Scenario, candidate: Candidate, tree: Tree) -> None:
        self._what = f"worker of {scenario.name}, {candidate.name}"
        self._tree = tree
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (closed by `end`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", scenario.name, candidate.name],
            cwd=tree.root,
            env=tree.environment() | _variables(candidate),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def require_ready(self) -> None:
        imported = Path(self.answer()["rc_core"])
        if not imported.is_relative_to(self._tree.root):
            raise WorkerError(f"{self._what}: imported {imported}, not the code in {self._tree.root}")

    def ask(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> WorkerError:
        code = self._process.wait()
        self._log.seek(0)
        return WorkerError(f"{self._what} ended with code {code}:\n{self._log.read()[-_TAIL_CHARACTERS:]}")

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone already
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
