"""Worker processes that share a device: started and asked together, and dropped when one of them fails."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.gpu_worker import Variant

_TAIL_CHARACTERS = 600
_END_SECONDS = 20.0
_MPS = "nvidia-cuda-mps-control"


class CrewError(RuntimeError):
    """A worker ended or did not answer; says why."""


class Crew:
    """Processes with one variant.

    Args:
        variant: what each of them computes.
        num_processes: how many, >= 1.
        environment: variables set besides those of this process.
    """

    def __init__(
        self, variant: Variant, num_processes: int = 1, environment: Mapping[str, str] | None = None
    ) -> None:
        self.variant = variant
        self._workers = [_Worker(variant, environment or {}) for _ in range(num_processes)]

    def wait_until_ready(self, timeout_seconds: float) -> str:
        """Wait for all to have built, compiled and captured; the device's name.

        Raises:
            CrewError: one failed, or took too long.
        """
        end_seconds = time.monotonic() + timeout_seconds
        answers = [worker.answer(end_seconds) for worker in self._workers]
        return str(answers[0]["device"])

    def ask(self, request: Mapping[str, Any], timeout_seconds: float) -> list[dict[str, Any]]:
        """Ask all workers at once; their answers.

        Raises:
            CrewError: one failed, or took too long.
        """
        end_seconds = time.monotonic() + timeout_seconds
        for worker in self._workers:
            worker.ask(request)
        return [worker.answer(end_seconds) for worker in self._workers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the processes; twice is no error."""
        for worker in self._workers:
            worker.hang_up()
        end_seconds = time.monotonic() + _END_SECONDS
        for worker in self._workers:
            worker.end(end_seconds)


class _Worker:
    """One process. A thread reads its answers, so that waiting for one can have a limit."""

    def __init__(self, variant: Variant, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (closed by `end`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_worker", variant.to_json()],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._failed() from error

    def answer(self, end_seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.0, end_seconds - time.monotonic()))
        except queue.Empty:
            self._process.kill()
            raise CrewError("no answer in time; killed") from None
        if not line:
            raise self._failed()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self) -> CrewError:
        self._process.kill()
        code = self._process.wait()
        self._log.seek(0)
        # The last lines hold the exception.
        return CrewError(f"ended with code {code}: {self._log.read()[-_TAIL_CHARACTERS:].strip()}")

    def hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self, end_seconds: float) -> None:
        try:
            self._process.wait(max(0.0, end_seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextlib.contextmanager
def process_service() -> Iterator[dict[str, str]]:
    """NVIDIA's multi-process service, by which kernels of several processes run at once; variables for them.

    Raises:
        CrewError: it is not installed, or does not start.
    """
    if shutil.which(_MPS) is None:
        raise CrewError(f"{_MPS} is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": str(Path(folder) / "log")}
        everything = {**os.environ, **environment}
        _control(["-d"], everything)
        try:
            yield environment
        finally:
            with contextlib.suppress(CrewError):
                _control([], everything, "quit\n")


def _control(arguments: Sequence[str], environment: Mapping[str, str], orders: str = "") -> None:
    # Files, not pipes: the daemon keeps what it inherits, and one would wait for its end.
    with tempfile.TemporaryFile(mode="w+") as said:
        try:
            done = subprocess.run(
                [_MPS, *arguments],
                input=orders,
                env=environment,
                stdout=said,
                stderr=said,
                text=True,
                timeout=_END_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CrewError(f"{_MPS} {' '.join(arguments)} did not answer") from error
        said.seek(0)
        if done.returncode:
            raise CrewError(f"{_MPS} {' '.join(arguments)} ended with {done.returncode}: {said.read()}")
