"""The suites for sources find the mistakes that an implementation can make."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from event_trio.broker.source import BATCH, Message
from event_trio.envelope import Envelope
from event_trio.testing import MemoryQueue, QueueSuite


class Reversed(MemoryQueue):
    """Hands out the newest first."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return found[::-1]


class Ungrouped(MemoryQueue):
    """Lets a message overtake one of its group that is in flight."""

    def send(self, event: Envelope) -> None:
        super().send(event)
        for group in list(self._groups):
            self._groups = {f"{group}-{held.number}": [held] for held in self._groups.pop(group)} | self._groups


class Forgetful(MemoryQueue):
    """Loses a message that was received and not deleted."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        await super().delete(found)
        return found


class Deaf(MemoryQueue):
    """Does not extend."""

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return []


class Sticky(MemoryQueue):
    """Does not delete."""

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []


class Greedy(MemoryQueue):
    """Takes more than it was asked for."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        return await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=100)


class Uncounted(MemoryQueue):
    """Does not count receives."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return [replace(message, receive_count=1) for message in found]


@pytest.mark.parametrize(
    ("mistaken", "test"),
    [
        (Reversed, "test_a_group_comes_in_the_order_in_which_it_was_sent"),
        (Ungrouped, "test_behind_a_message_in_flight_its_group_waits"),
        (Forgetful, "test_what_is_not_deleted_in_time_comes_again_and_first"),
        (Deaf, "test_an_extended_message_stays_in_flight"),
        (Sticky, "test_a_deleted_message_lets_the_next_one_go"),
        (Greedy, "test_a_receive_takes_ten_at_the_most_and_fewer_where_asked"),
        (Uncounted, "test_what_is_not_deleted_in_time_comes_again_and_first"),
    ],
)
async def test_a_mistake_is_found(mistaken: type[MemoryQueue], test: str) -> None:
    queue = mistaken()

    async def publish(sent: Envelope) -> None:
        queue.send(sent)

    with pytest.raises((AssertionError, TimeoutError)):
        async with asyncio.timeout(4):
            await getattr(QueueSuite(), test)(queue, publish)
