"""A broker in memory that keeps every promise, for the suites; mistaken ones are derived from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from event_trio.broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome, Outcome, Permanent
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.source import Message
from event_trio.broker.visibility_buffer import VisibilityBuffer
from event_trio.errors import BrokerUnavailable
from event_trio.testing import SUBSCRIBERS
from tests.support.virtual_time import VirtualClock

MOST_BYTES = 2000


class MemoryBroker:
    """What a server stores: a queue for each subscriber. `stop` ends it, and `restart` finds what it had stored."""

    def __init__(self) -> None:
        self.running = True
        self.ends = 0
        self.queues = {subscriber: VisibilityBuffer[None](VirtualClock().monotonic) for subscriber in SUBSCRIBERS}
        self.numbers = itertools.count(1)
        self.seen: set[str] = set()
        self.readers = 0

    async def stop(self) -> None:
        self.running = False
        self.ends += 1

    async def restart(self) -> None:
        self.running = True

    def store(self, event: OutgoingEvent) -> str:
        """Store an event for every subscriber, unless its sending is known."""
        number = next(self.numbers)
        if event.deduplication_id not in self.seen:
            self.seen.add(event.deduplication_id)
            for queue in self.queues.values():
                queue.add(self.message(event, number), None)
        return str(number)

    def message(self, event: OutgoingEvent, number: int) -> Message:
        """The event as a reader gets it."""
        return Message(
            message_id=f"m-{number}",
            receipt_handle="",
            body=event.body.decode(),
            group=event.subject,
            deduplication_id=event.deduplication_id,
            sequence_number=str(number),
            receive_count=0,
            sent_at=datetime.now(UTC),
            attributes=dict(event.attributes),
        )


class MemoryPublisher:
    """Sends to the broker, or to a topic that it does not have."""

    def __init__(self, broker: MemoryBroker, *, topic_exists: bool = True) -> None:
        self.broker = broker
        self.topic_exists = topic_exists

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        if (trouble := await self.check()) is not None:
            return BrokerOutage(trouble)
        return Answered(tuple([self.send(event) for event in events]))

    async def check(self) -> str | None:
        if not self.broker.running:
            return "not connected"
        return None if self.topic_exists else "the topic does not exist"

    def send(self, event: OutgoingEvent) -> Outcome:
        """Send one event of a call."""
        return Permanent("too large") if len(event.body) > MOST_BYTES else Accepted(self.broker.store(event))


class MemorySource:
    """Reads the queue of a subscriber; `close` lets other readers have what was not deleted."""

    system = "memory"

    def __init__(self, broker: MemoryBroker, subscriber: str) -> None:
        self.name = subscriber
        self.broker = broker
        self.number = broker.readers
        self.received: list[Message] = []
        broker.readers += 1

    @property
    def queue(self) -> VisibilityBuffer[None]:
        """The queue at the broker. Raises BrokerUnavailable."""
        if not self.broker.running:
            raise BrokerUnavailable("not connected")
        return self.broker.queues[self.name]

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await self.queue.take(most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)
        self.received += found
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return self.queue.remove(messages)[1]

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return self.queue.extend(messages, seconds)

    async def url(self) -> str:
        return f"memory:{self.name}"

    async def close(self) -> None:
        self.queue.extend(self.received, 0)
