"""Living through outages: what fails for want of an answer is tried again, for some minutes."""

from __future__ import annotations

import logging
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_VARIABLE = "RCSWEEP_STORAGE_PATIENCE_SECONDS"
DEFAULT_PATIENCE_SECONDS = 300.0

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
# A failure that the next tries mend is not worth a line.
_QUIET_SECONDS = 1.0

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class OutageError(OSError):
    """A service gave no answer for longer than the patience lasts; the message says what to do."""


def default_patience_seconds() -> float:
    """`RCSWEEP_STORAGE_PATIENCE_SECONDS` from the environment, or 300: how long an operation is tried.

    Raises:
        ValueError: the variable is no number of at least 0.
    """
    text = os.environ.get(PATIENCE_VARIABLE)
    if not text:
        return DEFAULT_PATIENCE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ValueError(f"{PATIENCE_VARIABLE} = {text!r}: must be a number of seconds, at least 0")
    return seconds


class Outages:
    """The outages of one service, as all threads of this process that use it see them.

    An operation is tried again after waits that double from 0.2 to 10 s, each shortened by a random part of
    up to a half, so that many processes do not return all at once. An outage gives one warning, however many
    operations wait for its end.

    Args:
        service: for the log.
        patience_seconds: from an operation's first failure to its last try; 0 = a single try.
        is_transient: whether an error means that there was no answer, rather than that the answer is no.
        clock: monotonic time in seconds.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        service: str,
        patience_seconds: float,
        is_transient: Callable[[OSError], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.patience_seconds = patience_seconds
        self._service, self._is_transient = service, is_transient
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._since_seconds: float | None = None
        self._warned = False

    def survive(self, operation: Callable[[], _Result], where: str) -> _Result:
        """Result of an operation that may be carried out more than once.

        Args:
            operation: raises an OSError where it fails.
            where: names the target in the error.

        Raises:
            OutageError: no answer while the patience lasted.
            OSError: the operation's own error, where that is an answer.
        """
        deadline_seconds, num_tries, wait_seconds = math.inf, 0, _FIRST_WAIT_SECONDS
        while True:
            num_tries += 1
            try:
                result = operation()
            except OSError as error:
                if not self._is_transient(error):
                    self._note_answer()
                    raise
                now_seconds = self._clock()
                if num_tries == 1:
                    deadline_seconds = now_seconds + self.patience_seconds
                self._note_failure(now_seconds, error)
                if now_seconds >= deadline_seconds:
                    raise OutageError(
                        f"{where}: no answer in {num_tries} {'try' if num_tries == 1 else 'tries'} over "
                        f"{self.patience_seconds:.0f} s; the last error was: {error}. Nothing finished is "
                        "lost: check network and endpoint, then give the same command again. "
                        f"{PATIENCE_VARIABLE} sets for how long is tried"
                    ) from error
                jitter = random.uniform(0.5, 1.0)
                self._sleep(min(wait_seconds * jitter, deadline_seconds - now_seconds))
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
            else:
                self._note_answer()
                return result

    def _note_failure(self, now_seconds: float, error: OSError) -> None:
        with self._lock:
            if self._since_seconds is None:
                self._since_seconds = now_seconds
            if self._warned or now_seconds - self._since_seconds < _QUIET_SECONDS:
                return
            self._warned = True
        logger.warning(
            "%s does not answer; trying again for %.0f s: %s", self._service, self.patience_seconds, error
        )

    def _note_answer(self) -> None:
        if self._since_seconds is None:  # nearly always, and then there is nothing to lock for
            return
        with self._lock:
            since_seconds, self._since_seconds = self._since_seconds, None
            warned, self._warned = self._warned, False
        if warned and since_seconds is not None:
            logger.info("%s answers again after %.0f s", self._service, self._clock() - since_seconds)
