"""Which handler takes an event."""

from typing import Any, ClassVar

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared.consumer.event import Event
from shared.consumer.policies import RetryInPlace
from shared.consumer.router import NoRoute, Route, Router, Stale
from shared.contracts.payload import EventPayload
from shared.envelope import Envelope
from shared.errors import ConfigurationError
from tests.support.events import envelope_of


class Counted(EventPayload):
    type: ClassVar[str] = "test.counted"
    number: int = 0


class CountedAnew(Counted):
    version: ClassVar[int] = 2


async def record(session: AsyncSession, event: Event[Any], acted: Any) -> None:
    """Nothing."""


def of(event_type: str, version: int) -> Envelope:
    return envelope_of(Counted(), dataschema=f"https://schemas.example.com/{event_type}/{version}", type=event_type)


def test_a_handler_is_found_by_type_and_major_version() -> None:
    router = Router()
    router.handle(Counted, record)
    router.handle(CountedAnew, record, stale=Stale.SKIP)
    first, second = router.find(of("test.counted", 1)), router.find(of("test.counted", 2))
    assert isinstance(first, Route)
    assert isinstance(second, Route)
    assert (first.payload, first.stale, first.policy) == (Counted, Stale.HANDLE, RetryInPlace())
    assert (second.payload, second.stale) == (CountedAnew, Stale.SKIP)
    assert router.types == {"test.counted"}


@pytest.mark.parametrize(
    ("event_type", "version", "reason"),
    [("test.counted", 3, "unknown_version"), ("test.other", 1, "unknown_type")],
)
def test_what_nobody_handles_has_a_reason(event_type: str, version: int, reason: str) -> None:
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
        router.handle(CountedAnew, record, timeout=0)
