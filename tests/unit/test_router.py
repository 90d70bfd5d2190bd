"""Which handler takes an event."""

from typing import Any, ClassVar

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.clock import SystemClock
from event_trio.consumer.database_breaker import DatabaseBreaker
from event_trio.consumer.event import Event
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.pipeline.pipeline import Pipeline
from event_trio.consumer.policies import RetryInPlace
from event_trio.consumer.router import COMMIT_SECONDS, LONGEST_TIMEOUT, NoRoute, Route, Router, Stale
from event_trio.consumer.sources.deferred import DeferredOptions, DeferredWorker
from event_trio.consumer.sources.worker import Consumer, Limits
from event_trio.consumer.telemetry import Telemetry
from event_trio.contracts.payload import EventPayload
from event_trio.errors import ConfigurationError
from event_trio.inbox.delivery import DecodedMessage
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue


class Counted(EventPayload):
    type: ClassVar[str] = "test.counted"
    number: int = 0


class CountedAgain(Counted):
    version: ClassVar[int] = 2


async def record(session: AsyncSession, event: Event[Any], acted: Any) -> None:
    """Nothing."""


def of(event_type: str, version: int) -> DecodedMessage:
    return DecodedMessage(id="1", type=event_type, version=version)


def test_a_handler_is_found_by_type_and_major_version() -> None:
    router = Router()
    router.handle(Counted, record)
    router.handle(CountedAgain, record, stale=Stale.SKIP)
    first, second = router.find(of("test.counted", 1)), router.find(of("test.counted", 2))
    assert isinstance(first, Route)
    assert isinstance(second, Route)
    assert (first.payload, first.stale, first.policy) == (Counted, Stale.HANDLE, RetryInPlace())
    assert (second.payload, second.stale) == (CountedAgain, Stale.SKIP)
    assert router.types == {"test.counted"}


@pytest.mark.parametrize(
    ("event_type", "version", "reason"),
    [("test.counted", 3, "unknown_version"), ("test.other", 1, "unknown_type")],
)
def test_an_event_without_a_handler_has_a_reason(event_type: str, version: int, reason: str) -> None:
    router = Router()
    router.handle(Counted, record)
    found = router.find(of(event_type, version))
    assert isinstance(found, NoRoute)
    assert found.reason == reason


def test_wrong_declarations_are_refused() -> None:
    router = Router()
    router.handle(Counted, record)
    with pytest.raises(ConfigurationError, match="two handlers"):
        router.handle(Counted, record)
    with pytest.raises(ConfigurationError, match="timeout"):
        router.handle(CountedAgain, record, timeout=0)


@pytest.mark.parametrize("timeout", [LONGEST_TIMEOUT + 1, 1000.0, float("inf"), float("nan")])
def test_a_handler_may_take_no_longer_than_its_message_is_kept(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match=r"test\.counted may take .* at most 240"):
        Router().handle(Counted, record, timeout=timeout)


def test_a_message_is_kept_for_as_long_as_any_handler_may_take() -> None:
    assert min(Limits().hold_seconds, DeferredOptions().lease_seconds) >= LONGEST_TIMEOUT + COMMIT_SECONDS


def test_a_consumer_that_keeps_messages_for_less_than_a_handler_may_take_is_refused() -> None:
    router = Router()
    router.handle(Counted, record, timeout=20.0)
    sessions: Any = None
    metrics, breaker, clock, signals = (
        ConsumerMetrics(CollectorRegistry()),
        DatabaseBreaker(sessions),
        SystemClock(),
        Signals(),
    )
    telemetry = Telemetry(router, metrics, signals, clock)
    pipeline = Pipeline("tested", router, sessions, breaker, telemetry, clock)
    with pytest.raises(ConfigurationError, match="20 s"):
        DeferredWorker(sessions, pipeline, breaker, signals, DeferredOptions(lease_seconds=30.0))
    DeferredWorker(sessions, pipeline, breaker, signals, DeferredOptions(lease_seconds=50.0))
    limits = Limits(hold_seconds=30.0)
    with pytest.raises(ConfigurationError, match="20 s"):
        Consumer("tested", MemoryQueue(), pipeline, breaker, metrics, clock, signals, limits)
