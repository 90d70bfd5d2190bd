"""What a consumer relies on in a source of messages, as tests that any implementation must pass.

A subclass gives two fixtures. With pytest-asyncio in its auto mode that is all:

    class TestMyQueue(QueueSuite):
        @pytest.fixture
        def queue(self) -> MessageSource: ...

        @pytest.fixture
        def publish(self, queue: MessageSource) -> Publish: ...

The suite of the broker to which a relay sends is `PublisherSuite`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

from ..broker.source import Message, MessageSource
from ..envelope import Envelope, sequence_text, uuid7

Publish: TypeAlias = Callable[[Envelope], Awaitable[None]]
"""Puts an event into the queue, in the message group that its `partitionkey` names."""

LONG = 60
"""A visibility that does not run out during a test, in seconds."""
SHORT = 1


def event(group: str, number: int) -> Envelope:
    """An event of a message group."""
    return Envelope(
        id=uuid7(),
        source="/tests",
        type="test.counted",
        subject=group,
        time=datetime.now(UTC),
        dataschema="https://schemas.example.com/test.counted/1",
        partitionkey=group,
        sequence=sequence_text(number),
        correlationid=group,
        data={"number": number},
    )


async def receive(
    queue: MessageSource, count: int, *, visibility_seconds: int = LONG, seconds: float = 20.0
) -> list[Message]:
    """Messages from as many receives as it takes, at least `count` of them. Raises TimeoutError."""
    found: list[Message] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found += await queue.receive(wait_seconds=1, visibility_seconds=visibility_seconds)
    return found


def numbers(messages: list[Message]) -> list[int]:
    """The sequence numbers of the events in messages."""
    return [Envelope.parse(message.body).sequence_number for message in messages]


async def drain(queue: MessageSource, count: int, *, seconds: float = 20.0) -> list[Message]:
    """At least `count` messages, each of them deleted before what follows it is received. Raises TimeoutError."""
    found: list[Message] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            received = await queue.receive(wait_seconds=1, visibility_seconds=LONG)
            assert await queue.delete(received) == []
            found += received
    return found


class QueueSuite:
    """The tests. Those of a group's order use one group each, so that a shared broker does no harm."""

    async def test_a_group_comes_in_the_order_in_which_it_was_sent(
        self, queue: MessageSource, publish: Publish
    ) -> None:
        """Messages of one group are received first in, first out."""
        for number in (1, 2, 3):
            await publish(event("a", number))
        messages = await drain(queue, 3)
        assert numbers(messages) == [1, 2, 3]
        assert {message.group for message in messages} == {"a"}

    async def test_a_message_has_what_a_consumer_reads(self, queue: MessageSource, publish: Publish) -> None:
        """The event, its ids, its attributes, and how often it was received."""
        sent = event("a", 1)
        await publish(sent)
        (message,) = await receive(queue, 1)
        assert Envelope.parse(message.body) == sent
        assert message.group == sent.partitionkey
        assert message.message_id
        assert message.receipt_handle
        assert message.deduplication_id == str(sent.id)
        assert message.receive_count == 1
        assert message.attributes.get("type") == sent.type
        assert message.sent_at.tzinfo is not None

    async def test_behind_a_message_in_flight_its_group_waits(self, queue: MessageSource, publish: Publish) -> None:
        """Nothing of a group is received while an earlier message of it is invisible; other groups are."""
        await publish(event("a", 1))
        await receive(queue, 1)
        await publish(event("a", 2))
        await publish(event("b", 3))
        assert numbers(await receive(queue, 1)) == [3]
        assert await queue.receive(wait_seconds=0, visibility_seconds=LONG) == []

    async def test_a_deleted_message_lets_the_next_one_go(self, queue: MessageSource, publish: Publish) -> None:
        """After the delete the rest of the group is received, and the deleted message never again."""
        await publish(event("a", 1))
        first = await receive(queue, 1)
        await publish(event("a", 2))
        assert await queue.delete(first) == []
        assert numbers(await drain(queue, 1)) == [2]
        assert await queue.receive(wait_seconds=1, visibility_seconds=LONG) == []

    async def test_what_is_not_deleted_in_time_comes_again_and_first(
        self, queue: MessageSource, publish: Publish
    ) -> None:
        """A message whose visibility ran out is received before those behind it, with another receipt handle."""
        await publish(event("a", 1))
        await publish(event("a", 2))
        before = await receive(queue, 1, visibility_seconds=SHORT)
        again = await receive(queue, len(before))
        assert numbers(again) == numbers(before) == [1, 2][: len(before)]
        assert [message.receive_count for message in again] == [2] * len(before)
        assert [message.message_id for message in again] == [message.message_id for message in before]
        assert again[0].receipt_handle != before[0].receipt_handle

    async def test_a_former_receipt_handle_does_nothing(self, queue: MessageSource, publish: Publish) -> None:
        """Who was too slow neither deletes a message of its new owner nor keeps it from being received again."""
        await publish(event("a", 1))
        slow = await receive(queue, 1, visibility_seconds=SHORT)
        await receive(queue, 1, visibility_seconds=SHORT)
        await queue.extend(slow, LONG)
        await queue.delete(slow)
        assert numbers(await receive(queue, 1, seconds=5.0)) == [1]

    async def test_an_extended_message_stays_in_flight(self, queue: MessageSource, publish: Publish) -> None:
        """After an extension the message is not received when its first visibility has run out."""
        await publish(event("a", 1))
        messages = await receive(queue, 1, visibility_seconds=2)
        assert await queue.extend(messages, LONG) == []
        assert await queue.receive(wait_seconds=3, visibility_seconds=LONG) == []

    async def test_a_receive_takes_ten_at_the_most_and_fewer_where_asked(
        self, queue: MessageSource, publish: Publish
    ) -> None:
        """`most` bounds a receive."""
        for number in range(1, 13):
            await publish(event(f"group-{number}", number))
        assert len(await queue.receive(wait_seconds=5, visibility_seconds=LONG, most=2)) <= 2
        assert len(await queue.receive(wait_seconds=5, visibility_seconds=LONG)) <= 10

    async def test_a_receive_ends_when_there_is_nothing(self, queue: MessageSource) -> None:
        """A receive of an empty source returns nothing, after `wait_seconds`; and what it reads has a name."""
        assert queue.name
        assert queue.system
        assert await queue.url()
        async with asyncio.timeout(10):
            assert await queue.receive(wait_seconds=1, visibility_seconds=LONG) == []
