"""A completed message is deleted at once, and the delete is repeated: until then its group is blocked in the queue."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from event_trio.broker.queue import Message
from event_trio.consumer.event import Event
from event_trio.consumer.policies import Retry
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from event_trio.errors import BrokerUnavailable
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, consumer_of, effects, make_effects
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of

# What is not deleted comes again after this long, which no test waits for.
LIMITS = Limits(drain_seconds=5.0, polling=Polling(wait_seconds=1, visibility_seconds=600))


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


class FailingQueue(MemoryQueue):
    """Fails or refuses so many deletes."""

    def __init__(self, *, fails: int = 0, refuses: int = 0) -> None:
        super().__init__()
        self.fails, self.refuses = fails, refuses

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        asked = list(messages)
        if self.fails:
            self.calls["delete"] += 1
            self.fails -= 1
            raise BrokerUnavailable("cannot delete from queue memory.fifo: RequestThrottled")
        if self.refuses:
            self.calls["delete"] += 1
            self.refuses -= 1
            return asked
        return await super().delete(asked)


@pytest.mark.parametrize("how", ["a message that waits for its retry", "a slow handler"])
async def test_messages_in_memory_delay_no_other_group(
    how: str, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_trio.consumer.sources.acknowledgements.LINGER_SECONDS", 600.0)
    begun = asyncio.Event()

    async def stay(event: Event[Counted]) -> None:
        if event.envelope.subject == "staying":
            begun.set()
            if how == "a slow handler":
                await asyncio.Event().wait()
            raise RuntimeError("not yet")

    queue = MemoryQueue()
    async with consumer_of(
        database, queue, act=stay, policy=Retry(attempts=5, delay=50), limits=LIMITS, timeout=60
    ) as tested:
        queue.send(envelope_of(Counted(), subject="staying"))
        await asyncio.wait_for(begun.wait(), 10)
        for number in range(1, 6):
            event = envelope_of(Counted(), subject="quick", sequence=number)
            queue.send(event)
            await tested.completed(event.id, "handled", timeout=10)
    assert await effects(database) == [("quick", number) for number in range(1, 6)]


@pytest.mark.parametrize("queue", [FailingQueue(fails=2), FailingQueue(refuses=2)], ids=["fails", "refuses"])
async def test_a_delete_that_fails_is_repeated(queue: FailingQueue, database: TestDatabase) -> None:
    first, second = (envelope_of(Counted(), sequence=number) for number in (1, 2))
    async with consumer_of(database, queue, limits=LIMITS) as tested:
        queue.send(first)
        await tested.completed(first.id, "handled")
        queue.send(second)
        await tested.completed(second.id, "handled", timeout=20)
        assert tested.count("duplicate") == 0


async def test_a_drain_repeats_it_as_well(database: TestDatabase) -> None:
    queue, event = FailingQueue(fails=3), envelope_of(Counted())
    async with consumer_of(database, queue, limits=replace(LIMITS, drain_seconds=20.0)) as tested:
        queue.send(event)
        await tested.completed(event.id, "handled")
        await tested.drain()
    assert queue.is_empty
