"""Once in effect: however often an event is delivered, to however many instances, and wherever one of them dies."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.queue import BATCH, Message, Queue
from event_trio.consumer.event import Event
from event_trio.consumer.sources.poller import Polling
from event_trio.errors import BrokerUnavailable
from event_trio.testing import MemoryQueue
from tests.support.consuming import LIMITS, Counted, completed, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.waiting import eventually


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


async def test_an_event_delivered_twice_is_handled_once(database: TestDatabase, queue: FifoQueue) -> None:
    event = envelope_of(Counted())
    async with consumer_of(database, queue.reader()) as tested:
        await queue.send(event)
        await tested.completed(event.id, "handled")
        await queue.send(event, again=1)
        await tested.completed(event.id, "duplicate")
        await eventually(queue.is_empty)
        assert tested.count("handled") == tested.count("duplicate") == 1
    assert await effects(database) == [("subject-1", 1)]
    inbox = await rows(database, "SELECT consumer, event_id, source, subject, sequence, outcome FROM processed_message")
    assert inbox == [("tested", str(event.id), "/services/test", "subject-1", 1, "handled")]


async def test_two_instances_with_the_same_event_at_once_handle_it_once(
    database: TestDatabase, queue: FifoQueue, aws: Aws
) -> None:
    """Both have looked, both have acted, and both are about to commit: one of them does."""
    event = envelope_of(Counted())
    both = asyncio.Barrier(2)
    acted: list[object] = []

    async def act(event: Event[Counted]) -> None:
        acted.append(event.envelope.id)
        await both.wait()

    async with (
        fifo_queue(aws) as other,
        consumer_of(database, queue.reader(), act=act) as first,
        consumer_of(database, other.reader(), act=act) as second,
    ):
        await queue.send(event)
        await other.send(event, again=1)
        await completed(first, second, messages=2)
        await eventually(queue.is_empty)
        await eventually(other.is_empty)
        assert first.count("handled") + second.count("handled") == 1
        assert first.count("duplicate") + second.count("duplicate") == 1
    assert acted == [event.id, event.id]
    assert await effects(database) == [("subject-1", 1)]


async def test_a_crash_between_act_and_commit_repeats_the_act_and_commits_once(
    database: TestDatabase, queue: FifoQueue
) -> None:
    event = envelope_of(Counted())
    acted: list[object] = []
    written = asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        acted.append(event.envelope.id)

    async def hang(event: Event[Counted]) -> None:
        written.set()
        await asyncio.Event().wait()

    async with consumer_of(database, queue.reader(), act=act, after=hang) as dying:
        await queue.send(event)
        await asyncio.wait_for(written.wait(), 10)
        await dying.kill()
    assert await effects(database) == []
    async with consumer_of(database, queue.reader(), act=act) as tested:
        await tested.completed(event.id, "handled", timeout=30)
    assert acted == [event.id, event.id]
    assert await effects(database) == [("subject-1", 1)]


class Undeletable(Queue):
    """A queue whose deletes never arrive."""

    async def delete(self, messages: object) -> list[Message]:
        raise BrokerUnavailable("cut off")


async def test_a_crash_between_commit_and_delete_handles_the_event_once(
    database: TestDatabase, queue: FifoQueue
) -> None:
    event = envelope_of(Counted())
    async with consumer_of(database, Undeletable(queue.client, queue.name)) as dying:
        await queue.send(event)
        await dying.completed(event.id, "handled")
        await dying.kill()
    async with consumer_of(database, queue.reader()) as tested:
        await tested.completed(event.id, "duplicate", timeout=30)
        await eventually(queue.is_empty)
    assert await effects(database) == [("subject-1", 1)]


async def test_a_slow_handler_keeps_its_message(database: TestDatabase, queue: FifoQueue) -> None:
    """It takes longer than the visibility; the heartbeat keeps a second instance from getting the message."""
    event = envelope_of(Counted())

    async def slow(event: Event[Counted]) -> None:
        await asyncio.sleep(LIMITS.polling.visibility_seconds + 1)  # how long it takes is what is tested

    async with (
        consumer_of(database, queue.reader(), act=slow) as first,
        consumer_of(database, queue.reader(), act=slow) as second,
    ):
        await queue.send(event)
        await completed(first, second, messages=1)
        await eventually(queue.is_empty)
        assert await completed(first, second, messages=1) == ["handled"]
    assert await effects(database) == [("subject-1", 1)]


async def test_visibility_that_runs_out_in_mid_handler_gives_the_event_to_another_and_it_is_handled_once(
    database: TestDatabase, queue: FifoQueue
) -> None:
    """The first instance is cut off while its handler works: it can neither keep its message nor receive it again."""
    event = envelope_of(Counted())
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(event: Event[Counted]) -> None:
        begun.set()
        await go_on.wait()

    class CutOff(Queue):
        async def extend(self, messages: object, seconds: int) -> list[Message]:
            raise BrokerUnavailable("cut off")

        async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
            if begun.is_set():
                raise BrokerUnavailable("cut off")
            return await super().receive(wait_seconds=wait_seconds, visibility_seconds=visibility_seconds, most=most)

    limits = replace(LIMITS, polling=Polling(wait_seconds=1, visibility_seconds=4))
    losing = CutOff(queue.client, queue.name)
    async with consumer_of(database, losing, act=slow, limits=limits, timeout=60.0) as first:
        await queue.send(event)
        await begun.wait()
        async with consumer_of(database, queue.reader()) as second:
            await second.completed(event.id, "handled", timeout=30.0)
            go_on.set()
            await first.completed(event.id, "duplicate", timeout=30.0)
        await eventually(queue.is_empty)
    assert await effects(database) == [("subject-1", 1)]


async def test_a_message_received_again_while_in_memory_is_renewed_and_not_added(
    database: TestDatabase,
) -> None:
    """Its heartbeat is cut off, so its messages come back to it: an expired handle would delete nothing."""
    events = [envelope_of(Counted(), sequence=number) for number in (1, 2)]
    go_on = asyncio.Event()

    async def slow(event: Event[Counted]) -> None:
        await go_on.wait()

    class NeverExtended(MemoryQueue):
        async def extend(self, messages: object, seconds: int) -> list[Message]:
            raise BrokerUnavailable("cut off")

    queue = NeverExtended()
    for event in events:
        queue.send(event)
    limits = replace(LIMITS, polling=Polling(wait_seconds=1, visibility_seconds=4))
    async with consumer_of(database, queue, act=slow, limits=limits, timeout=60.0) as tested:
        await tested.signals.wait("consumer.received", count=2, timeout=20.0)
        go_on.set()

        async def emptied() -> bool:
            return queue.is_empty

        await eventually(emptied)
        outcomes = [facts["outcome"] for facts in tested.signals.seen("consumer.completed")]
    assert outcomes == ["handled", "handled"]
    assert await effects(database) == [("subject-1", 1), ("subject-1", 2)]
