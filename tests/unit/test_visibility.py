"""The heartbeat extends the visibility of the messages in memory, for a limited time, and of no others."""

import asyncio
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.queue import Message, Queue, RejectedMessage
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.sources.visibility import SAFETY_SECONDS, Heartbeat
from event_trio.errors import BrokerUnavailable
from event_trio.testing import FakeClock

SECONDS = 30
LIMIT = 100.0


class FakeQueue(Queue):
    """Records what is extended; rejects or fails as configured."""

    def __init__(self) -> None:
        self.extended: list[str] = []
        self.refuse: set[str] = set()
        self.fails = False

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        if self.fails:
            raise BrokerUnavailable("away")
        asked = list(messages)
        self.extended += [message.message_id for message in asked]
        return [message for message in asked if message.message_id in self.refuse]


def delivery(name: str, *, received_at: float = 0.0) -> QueueDelivery:
    message = Message(name, f"handle-{name}", "{}", "group", name, "1", 1, datetime.now(UTC))
    return QueueDelivery.of(
        message, "tested", received_at=received_at, visible_at=received_at + SECONDS - SAFETY_SECONDS
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def heartbeat(queue: FakeQueue, clock: FakeClock) -> Heartbeat:
    return Heartbeat(queue, ConsumerMetrics(CollectorRegistry()), clock, seconds=SECONDS, limit=LIMIT)


async def test_only_what_is_due_is_extended(heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock) -> None:
    old, new = delivery("old"), delivery("new", received_at=9.0)
    clock.seconds = 10.0
    await heartbeat.beat([old, new])
    assert queue.extended == ["old"]
    assert old.visible_at == 10.0 + SECONDS - SAFETY_SECONDS
    await heartbeat.beat([old, new])
    assert queue.extended == ["old"]


async def test_it_is_bounded(heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock) -> None:
    """Beating for ever would keep a message from everyone for as long as SQS lets it."""
    held = delivery("held")
    while clock.seconds < LIMIT + SECONDS:
        await heartbeat.beat([held])
        clock.seconds += heartbeat.interval
    assert held.is_expired(clock.seconds)
    assert len(queue.extended) <= LIMIT / heartbeat.interval


async def test_it_ends_with_the_handlers_task(heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock) -> None:
    async def end() -> None:
        """Nothing."""

    held = delivery("held")
    held.task = asyncio.create_task(end())
    await held.task
    clock.seconds = 15.0
    await heartbeat.beat([held])
    assert queue.extended == []


async def test_two_beats_may_fail_before_a_message_expires(
    heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock
) -> None:
    held = delivery("held")
    queue.fails = True
    for _ in range(2):
        clock.seconds += heartbeat.interval
        await heartbeat.beat([held])
    assert not held.is_expired(clock.seconds)
    queue.fails = False
    await heartbeat.beat([held])
    assert queue.extended == ["held"]
    clock.seconds += SECONDS
    assert held.is_expired(clock.seconds)
    await heartbeat.beat([held])
    assert queue.extended == ["held"]


async def test_a_message_whose_extension_is_rejected_has_expired(
    heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock
) -> None:
    first, second = delivery("first"), delivery("second")
    queue.refuse = {"first"}
    clock.seconds = 15.0
    await heartbeat.beat([first, second])
    assert first.is_expired(clock.seconds)
    assert not second.is_expired(clock.seconds)


async def test_a_transient_rejection_is_repeated(
    heartbeat: Heartbeat, clock: FakeClock, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {"first": "InternalError", "second": "ReceiptHandleIsInvalid"}

    async def extend(messages: Iterable[Message], seconds: int) -> list[Message]:
        known = [({each.name: getattr(message, each.name) for each in fields(Message)}) for message in messages]
        return [RejectedMessage(**values, code=codes[str(values["message_id"])]) for values in known]

    monkeypatch.setattr(queue, "extend", extend)
    first, second = delivery("first"), delivery("second")
    clock.seconds = 15.0
    await heartbeat.beat([first, second])
    assert first.visible_at == SECONDS - SAFETY_SECONDS
    assert second.is_expired(clock.seconds)
    assert heartbeat.due([first]) == [first]


async def test_a_batch_that_fails_says_nothing_of_the_others(
    heartbeat: Heartbeat, clock: FakeClock, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def extend(messages: Iterable[Message], seconds: int) -> list[Message]:
        if any(message.message_id == "held-0" for message in messages):
            raise BrokerUnavailable("throttled")
        return []

    monkeypatch.setattr(queue, "extend", extend)
    held = [delivery(f"held-{number}") for number in range(25)]
    clock.seconds = 15.0
    await heartbeat.beat(held)
    assert heartbeat.due(held) == held[:10]


async def test_a_response_about_an_old_receipt_handle_does_not_concern_the_new_one(
    heartbeat: Heartbeat, queue: FakeQueue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, extended = delivery("refused"), delivery("extended")

    async def extend(messages: Iterable[Message], seconds: int) -> list[Message]:
        asked = list(messages)
        clock.seconds = 40.0
        for held in (refused, extended):
            held.renew(replace(held.message, receipt_handle="new", receive_count=9), heartbeat.visible_at(40.0))
        return asked[:1]

    monkeypatch.setattr(queue, "extend", extend)
    clock.seconds = 15.0
    await heartbeat.beat([refused, extended])
    assert [held.visible_at for held in (refused, extended)] == [heartbeat.visible_at(40.0)] * 2
    assert refused.message.receipt_handle == "new"
    assert not refused.possibly_poisonous, "the process that has it has not ended"


def test_a_visibility_too_short_to_extend_is_refused(queue: FakeQueue, clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="no time to extend"):
        Heartbeat(queue, ConsumerMetrics(CollectorRegistry()), clock, seconds=3, limit=LIMIT)
