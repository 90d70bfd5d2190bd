"""Sources with one mistake each, which the suites have to find."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from event_trio.broker.source import Message
from event_trio.broker.visibility_buffer import VisibilityBuffer
from event_trio.errors import BrokerUnavailable
from tests.support.memory_broker import MemoryBroker, MemorySource
from tests.support.virtual_time import VirtualClock


class Reversed(MemorySource):
    """Hands out the newest first."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return found[::-1]


class WithoutIds(MemorySource):
    """Loses the id under which an event was sent."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return [replace(message, deduplication_id=message.message_id) for message in found]


class Requeueing(MemorySource):
    """Takes a message out of the queue, and puts it behind the others when its visibility ends."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=1)
        self.queue.remove(found)
        for message in found:
            asyncio.get_running_loop().call_later(visibility_seconds, self.queue.add, message, None)
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []


class OneAtATime(MemorySource):
    """Lets every group wait for a message in flight."""

    in_flight = False

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        if self.in_flight:
            await asyncio.sleep(wait_seconds)
            return []
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        self.in_flight = bool(found)
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        self.in_flight = False
        return await super().delete(messages)


class AcknowledgingOnReceipt(MemorySource):
    """Loses a message that was received and not deleted."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        self.queue.remove(found)
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []


class AcknowledgingOnClose(MemorySource):
    """Loses what was received and not deleted when it is closed."""

    async def close(self) -> None:
        self.queue.remove(self.received)


class RequeueingOnClose(MemorySource):
    """Puts what was received and not deleted behind the others when it is closed."""

    async def close(self) -> None:
        first = self.received[0]
        self.queue.remove(self.received)
        for message in [each for each in self.received if each is not first] + [first]:
            self.queue.add(message, None)


class ReusingHandles(MemorySource):
    """Gives a message the same receipt handle at each receive."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return [replace(message, receipt_handle=message.message_id) for message in found]


class Uncounted(MemorySource):
    """Does not count receives."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return [replace(message, receive_count=1) for message in found]


class RenamingMessages(MemorySource):
    """Gives a message another id at each receive."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)
        return [replace(message, message_id=message.receipt_handle) for message in found]


class NotExtending(MemorySource):
    """Does not extend."""

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return []


class NotDeleting(MemorySource):
    """Does not delete."""

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []


class DeletingByMessage(MemorySource):
    """Deletes a message by its id, so that an earlier reader deletes it for its new owner."""

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return await super().delete(_newest(self.received, messages))


class ExtendingByMessage(MemorySource):
    """Extends a message by its id, so that an earlier reader keeps it from being received again."""

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        return await super().extend(_newest(self.received, messages), seconds)


class Unbounded(MemorySource):
    """Takes more than it was asked for."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        return await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=100)


class Endless(MemorySource):
    """Waits for a first message for as long as it takes."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        return await super().receive(wait_seconds=3600, visibility_seconds=visibility_seconds, most=most)


class ConnectedOnly(MemorySource):
    """Gets what is published while it is connected, as with Pub/Sub."""

    def __init__(self, broker: MemoryBroker, subscriber: str) -> None:
        super().__init__(broker, subscriber)
        self.queue.clear()


class Copying(MemorySource):
    """Gets a copy of each message, whatever other readers of its subscriber get."""

    def __init__(self, broker: MemoryBroker, subscriber: str) -> None:
        super().__init__(broker, f"{subscriber}.{broker.readers}")
        own = broker.queues[self.name] = VisibilityBuffer(VirtualClock().monotonic)
        for group in broker.queues[subscriber]._groups.values():
            for held in group:
                own.add(held.message, None)


class ReadingAhead(MemorySource):
    """Takes messages of a group that another reader has in flight; every second reader is slow."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = 10) -> list[Message]:
        found = await super().receive(wait_seconds=wait_seconds, visibility_seconds=0, most=1)
        self.queue.remove(found)
        await asyncio.sleep(0.1 * (self.number % 2))
        return found

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        return []


class NotReconnecting(MemorySource):
    """Does not connect again."""

    lost = False

    @property
    def queue(self) -> VisibilityBuffer[None]:
        self.lost = self.lost or not self.broker.running
        if self.lost:
            raise BrokerUnavailable("not connected")
        return super().queue


class RaisingOthers(MemorySource):
    """Raises the errors of its client."""

    @property
    def queue(self) -> VisibilityBuffer[None]:
        if not self.broker.running:
            raise ConnectionError("not connected")
        return super().queue


def _newest(received: list[Message], messages: Iterable[Message]) -> list[Message]:
    """The last receive of each message."""
    newest = {message.message_id: message for message in received}
    return [newest[message.message_id] for message in messages]
