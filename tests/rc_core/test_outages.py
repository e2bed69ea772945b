import logging
import threading

import pytest

from rc_core.outages import OutageError, Outages, default_patience_seconds

LOGGER = "rc_core.outages"


class Clock:
    """Time that passes in sleeps alone, and a service that is away between two moments of it."""

    def __init__(self, away_from=0.0, away_until=0.0):
        self.seconds, self.sleeps = 0.0, []
        self.away_from, self.away_until = away_from, away_until
        self.num_calls = 0

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.seconds += seconds

    def call(self):
        self.num_calls += 1
        if self.away_from <= self.seconds < self.away_until:
            raise ConnectionRefusedError("refused")
        return self.seconds

    def outages(self, patience_seconds):
        return Outages(
            "the service",
            patience_seconds,
            lambda error: isinstance(error, ConnectionError),
            clock=lambda: self.seconds,
            sleep=self.sleep,
        )


def test_an_answer_is_handed_on_at_once():
    clock = Clock()
    assert clock.outages(300).survive(clock.call, "there") == 0.0
    assert (clock.num_calls, clock.sleeps) == (1, [])


def test_an_outage_is_survived_with_doubling_waits_and_jitter():
    clock = Clock(away_until=60)
    assert clock.outages(300).survive(clock.call, "there") >= 60
    limits = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[10.0] * 20]
    for slept, limit in zip(clock.sleeps, limits, strict=False):
        assert limit / 2 <= slept <= limit
    # At least 60 s in waits of at most 10 s, at most 70 s in waits of at least 5 s.
    assert 11 <= len(clock.sleeps) <= 6 + 14


def test_when_patience_ends_the_error_says_where_and_what_to_do(caplog):
    clock = Clock(away_until=1e9)
    with pytest.raises(OutageError) as caught:
        clock.outages(20).survive(clock.call, "s3://bucket/results/a.json")
    message = str(caught.value)
    assert message.startswith(f"s3://bucket/results/a.json: no answer in {clock.num_calls} tries over 20 s; ")
    assert "the last error was: refused" in message
    assert "RCSWEEP_STORAGE_PATIENCE_SECONDS" in message
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert clock.seconds == 20.0  # the last try is at the very end


def test_without_patience_there_is_one_try(caplog):
    clock = Clock(away_until=1)
    with pytest.raises(OutageError, match="there: no answer in 1 try over 0 s"):
        clock.outages(0).survive(clock.call, "there")
    assert clock.num_calls == 1


def test_an_answer_of_no_is_not_asked_for_again():
    clock, calls = Clock(), []

    def missing():
        calls.append(1)
        raise FileNotFoundError("a.json")

    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        clock.outages(300).survive(missing, "there")
    assert (len(calls), clock.sleeps) == (1, [])


def test_patience_is_measured_from_the_operation_s_own_first_failure():
    clock = Clock(away_from=1000, away_until=1015)
    outages = clock.outages(20)
    for _ in range(2):
        clock.seconds += 500
        assert outages.survive(clock.call, "there") in (500, pytest.approx(1017.5, abs=5))


def test_each_outage_gives_one_warning_and_its_end_a_note(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    clock = Clock(away_until=60)
    outages = clock.outages(300)
    outages.survive(clock.call, "there")
    clock.away_from, clock.away_until = clock.seconds + 100, clock.seconds + 130
    clock.seconds += 110
    for _ in range(3):
        outages.survive(clock.call, "there")
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"]
    assert caplog.messages[0] == "the service does not answer; trying again for 300 s: refused"
    assert caplog.messages[1].startswith("the service answers again after ")


def test_a_failure_that_the_next_try_mends_is_not_worth_a_line(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    clock = Clock(away_until=0.05)
    clock.outages(300).survive(clock.call, "there")
    assert clock.num_calls == 2
    assert caplog.records == []


def test_threads_that_wait_for_the_same_outage_warn_once(caplog):
    outages = Outages("the service", 30, lambda error: True)
    is_back = threading.Event()
    threading.Timer(1.6, is_back.set).start()

    def call():
        if not is_back.is_set():
            raise ConnectionRefusedError("refused")

    threads = [threading.Thread(target=outages.survive, args=(call, "there")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(("text", "seconds"), [(None, 300.0), ("", 300.0), ("0", 0.0), ("12.5", 12.5)])
def test_the_patience_comes_from_the_environment(monkeypatch, text, seconds):
    if text is None:
        monkeypatch.delenv("RCSWEEP_STORAGE_PATIENCE_SECONDS", raising=False)
    else:
        monkeypatch.setenv("RCSWEEP_STORAGE_PATIENCE_SECONDS", text)
    assert default_patience_seconds() == seconds


@pytest.mark.parametrize("text", ["-1", "5 minutes", "nan"])
def test_a_patience_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("RCSWEEP_STORAGE_PATIENCE_SECONDS", text)
    with pytest.raises(ValueError, match=f"RCSWEEP_STORAGE_PATIENCE_SECONDS = '{text}': must be a number"):
        default_patience_seconds()
