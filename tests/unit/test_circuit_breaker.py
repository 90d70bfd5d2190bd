"""A circuit breaker opens after failures, allows a probe, and closes after a success."""

import pytest

from event_trio.backoff import Backoff
from event_trio.circuit_breaker import CircuitBreaker, CircuitBreakerOptions, CircuitState


def breaker(failures: int = 1) -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerOptions(failures, Backoff(first=1.0, factor=2.0, cap=4.0, jitter=0.0)))


def test_it_opens_after_consecutive_failures_with_the_last_reason() -> None:
    tested = breaker(failures=2)
    assert not tested.record_failure(0.0, "first")
    assert tested.state(0.0) is CircuitState.CLOSED
    assert tested.record_failure(0.0, "second")
    assert (tested.state(0.5), tested.reason, tested.try_call(0.5)) == (CircuitState.OPEN, "second", False)


def test_a_successful_probe_closes_it() -> None:
    tested = breaker()
    tested.record_failure(0.0, "away")
    assert tested.next_probe_at == 1.0
    assert tested.try_call(1.0)
    assert not tested.try_call(1.0)
    assert not tested.may_call(1.0)
    assert tested.record_success()
    assert tested.try_call(1.0)
    assert not tested.record_success()


def test_each_failed_probe_doubles_the_wait_up_to_its_cap() -> None:
    tested, now, waits = breaker(), 0.0, []
    tested.record_failure(now, "away")
    for _ in range(4):
        opens_at = tested.next_probe_at
        assert opens_at is not None
        waits.append(opens_at - now)
        now = opens_at
        assert tested.try_call(now)
        tested.record_failure(now, "still away")
    assert waits == [1.0, 2.0, 4.0, 4.0]


def test_calls_that_fail_together_are_one_failure() -> None:
    tested = breaker()
    assert tested.record_failure(0.0, "away")
    assert not tested.record_failure(0.1, "away, too")
    assert tested.next_probe_at == 1.0


def test_an_inconclusive_probe_allows_the_next_one() -> None:
    tested = breaker()
    tested.record_failure(0.0, "away")
    assert tested.try_call(1.0)
    tested.record_inconclusive()
    assert tested.state(1.0) is CircuitState.HALF_OPEN
    assert tested.try_call(1.0)


def test_options_require_at_least_one_failure() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CircuitBreakerOptions(0)
