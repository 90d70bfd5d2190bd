"""The publish check: a hot group at the pace of the broker, many groups in full batches, and reliable deletes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.queue import Message, Queue
from event_trio.broker.source import SENT_AT_UNKNOWN
from event_trio.envelope import Envelope
from event_trio.errors import BrokerUnavailable
from event_trio.signals import Signals
from event_trio.testing import MemoryQueue
from services.relay.confirmation import deletions, publish_check
from services.relay.confirmation.empty_queue import COUNTS, EmptyQueueObservations
from services.relay.confirmation.publish_check import PublishCheck
from services.relay.metrics import RelayMetrics
from services.relay.publishing.outbox_updates import Confirmation, OutboxUpdates, Publication
from tests.support.events import envelope_of
from tests.support.outbox import SomethingHappened
from tests.support.relay_parts import NoAcknowledgements


class Marks:
    """Takes every confirmation for news."""

    def __init__(self) -> None:
        self.batches: list[list[Confirmation]] = []

    @property
    def confirmed(self) -> list[UUID]:
        return [confirmation.event_id for batch in self.batches for confirmation in batch]

    async def mark_published(self, confirmations: Sequence[Confirmation]) -> list[Publication]:
        await asyncio.sleep(0.002)
        self.batches.append(list(confirmations))
        return [Publication(confirmation.event_id, "order.placed", 0.0, 0.0) for confirmation in confirmations]


class SlowQueue(MemoryQueue):
    """Every call takes as long as one to a broker nearby; deletes may fail as a whole or for one of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: list[str] = []
        self.receiving = 0
        self.most_receiving = 0
        self.generation = ""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        self.receiving += 1
        self.most_receiving = max(self.most_receiving, self.receiving)
        try:
            await asyncio.sleep(0.002)
            found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        finally:
            self.receiving -= 1
        return [replace(message, deduplication_id=message.deduplication_id + self.generation) for message in found]

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        await asyncio.sleep(0.002)
        given = list(messages)
        match self.failing.pop(0) if self.failing else None:
            case "call":
                raise BrokerUnavailable("throttled")
            case "entry":
                return [given[0], *await super().delete(given[1:])]
        return await super().delete(given)


class EmptyQueue(SlowQueue):
    """Gives nothing; what is in flight somebody else has, or nobody."""

    in_flight = "1"

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        await asyncio.sleep(0.002)
        return []

    async def attributes(self) -> dict[str, str]:
        self.calls["attributes"] += 1
        return {**dict.fromkeys(COUNTS, "0"), COUNTS[1]: self.in_flight}


@asynccontextmanager
async def reading(
    queue: Queue,
    updates: Marks,
    empty_queue: EmptyQueueObservations | None = None,
    on_delivered: Callable[[str, datetime], None] | None = None,
) -> AsyncIterator[PublishCheck]:
    check = PublishCheck(
        queue,
        cast(OutboxUpdates, updates),
        wait_seconds=5,
        record_at_once=False,
        acknowledgements=NoAcknowledgements(),
        metrics=RelayMetrics(CollectorRegistry()),
        signals=Signals(),
        on_published=lambda: None,
        on_trouble=lambda: None,
        on_delivered=on_delivered,
        empty_queue=empty_queue,
        counts=queue.attributes,
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(check.run(stopping))
    try:
        yield check
    finally:
        stopping.set()
        cast(MemoryQueue, queue).send(envelope("end"))
        await asyncio.wait_for(task, 10)


async def emptied(queue: MemoryQueue, *, seconds: float) -> float:
    """How long until nothing is left in the queue."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not queue.is_empty:  # noqa: ASYNC110 - a queue in memory tells nobody
            await asyncio.sleep(0.005)
    return time.monotonic() - began


def envelope(subject: str = "g-0", sequence: int = 1) -> Envelope:
    return envelope_of(SomethingHappened(), subject=subject, sequence=sequence)


def events(count: int, groups: int = 1) -> list[Envelope]:
    return [envelope(subject=f"g-{n % groups}", sequence=n // groups + 1) for n in range(count)]


async def test_a_hot_group_is_confirmed_as_fast_as_the_broker_delivers_it() -> None:
    """Ten of it are given at a time, and no more until they are deleted: half a second a batch would be 20 a second."""
    queue, updates = SlowQueue(), Marks()
    sent = events(400)
    for event in sent:
        queue.send(event)
    async with reading(queue, updates):
        assert await emptied(queue, seconds=10) < 400 / 20 / 3
        assert updates.confirmed == [event.id for event in sent], "in the order of the group"


async def test_the_time_at_which_the_broker_had_a_message_is_reported_if_it_is_known() -> None:
    class TimelessQueue(SlowQueue):
        async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
            found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
            return [replace(message, sent_at=SENT_AT_UNKNOWN) for message in found]

    sent, reported = events(20, groups=20), dict[str, datetime]()
    for queue in (SlowQueue(), TimelessQueue()):
        reported.clear()
        for event in sent:
            queue.send(event)
        async with reading(queue, Marks(), on_delivered=reported.__setitem__):
            await emptied(queue, seconds=10)
            if isinstance(queue, TimelessQueue):
                assert not reported
            else:
                assert set(reported) == {str(event.id) for event in sent}
                assert all(datetime.now(UTC) - at < timedelta(seconds=10) for at in reported.values())


async def test_a_hot_group_among_many_others_is_not_delayed_by_them() -> None:
    queue, updates = SlowQueue(), Marks()
    for event in events(300):
        queue.send(event)
    for event in events(300, groups=300):
        queue.send(event.model_copy(update={"subject": f"c-{event.subject}", "partitionkey": f"c-{event.subject}"}))
    async with reading(queue, updates):
        assert await emptied(queue, seconds=10) < 300 / 20 / 2


async def test_confirmations_of_many_groups_are_recorded_in_few_statements() -> None:
    queue, updates = SlowQueue(), Marks()
    for event in events(900, groups=900):
        queue.send(event)
    async with reading(queue, updates):
        await emptied(queue, seconds=20)
        assert queue.most_receiving > 1, "a full queue is read by several receives"
    assert len(updates.batches) <= 8
    assert queue.calls["delete"] <= 100


async def test_many_hot_groups_share_their_statements_and_each_is_faster_than_it_is_sent() -> None:
    """Recorded at once, each receive would be a statement; half a second each would be 20 a second for a group."""
    queue, updates = SlowQueue(), Marks()
    for event in events(900, groups=30):
        queue.send(event)
    async with reading(queue, updates):
        seconds = await emptied(queue, seconds=20)
    assert len(updates.batches) <= seconds / publish_check.MANY_HOT_SECONDS + 6
    assert seconds < 30 / 20 * 3


async def test_events_that_come_one_by_one_are_recorded_at_once() -> None:
    """They are fewer than would burden the database; each used to wait for the next statement under load."""
    queue, updates = SlowQueue(), Marks()
    took = []
    async with reading(queue, updates):
        for event in events(5, groups=5):
            async with asyncio.timeout(5):
                while not queue.receiving:  # noqa: ASYNC110 - there is no signal
                    await asyncio.sleep(0.005)
            queue.send(event)
            took.append(await emptied(queue, seconds=5))
    assert sorted(took)[2] < publish_check.RECORD_SECONDS / 3


@pytest.mark.parametrize("failure", ["call", "entry"])
async def test_a_delete_that_fails_is_tried_again_at_once(failure: str) -> None:
    """The receipt is still good; to wait for the message to come again would hold its group up for half a minute."""
    queue, updates = SlowQueue(), Marks()
    queue.failing = [failure] * 3
    for event in events(30):
        queue.send(event)
    async with reading(queue, updates):
        assert await emptied(queue, seconds=10) < deletions.VISIBILITY_SECONDS / 4
    assert len(set(updates.confirmed)) == len(updates.confirmed)


async def test_a_delete_is_given_up_when_its_receipt_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletions, "VALID_SECONDS", 0.3)
    queue = SlowQueue()
    queue.failing = ["call"] * 100
    queue.send(envelope())
    tested = deletions.Deletions(queue)
    messages = await queue.receive(wait_seconds=0, visibility_seconds=30)
    tested.received(messages)
    tested.delete(messages)
    async with asyncio.timeout(5):
        while tested.in_hand:  # noqa: ASYNC110 - there is no signal
            await asyncio.sleep(0.01)
    assert not queue.is_empty
    assert 50 < len(queue.failing) < 100


@pytest.mark.parametrize(("suffix", "expected"), [("", 0), (".1", 1), (".12", 12)])
async def test_a_confirmation_applies_to_the_sending_of_its_deduplication_id(suffix: str, expected: int) -> None:
    queue, updates = SlowQueue(), Marks()
    queue.generation = suffix
    event = envelope()
    queue.send(event)
    async with reading(queue, updates):
        await emptied(queue, seconds=5)
    assert updates.batches[0] == [Confirmation(event.id, expected)]


@pytest.mark.parametrize("suffix", [".x", ".1.2", "1", ".-1", ".²", ".", ".99999999999"])
async def test_a_message_that_no_relay_sent_confirms_nothing(suffix: str) -> None:
    queue, updates = SlowQueue(), Marks()
    queue.generation = suffix
    queue.send(envelope())
    async with reading(queue, updates):
        await emptied(queue, seconds=5)
        queue.generation = ".x"
    assert updates.confirmed == []


async def test_a_queue_is_observed_empty_without_messages_received_or_in_flight() -> None:
    queue, empty_queue = EmptyQueue(), EmptyQueueObservations(0.0)
    async with reading(queue, Marks(), empty_queue):
        async with asyncio.timeout(5):
            while queue.calls["attributes"] < 3:  # noqa: ASYNC110 - there is no signal
                await asyncio.sleep(0.005)
        assert empty_queue.since(time.monotonic()) is None
        queue.in_flight = "0"
        async with asyncio.timeout(5):
            while empty_queue.since(time.monotonic()) is None:  # noqa: ASYNC110 - there is no signal
                await asyncio.sleep(0.005)
