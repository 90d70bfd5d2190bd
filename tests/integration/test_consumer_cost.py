"""What an event costs in calls and commits, and that nothing is deleted before it is committed; without a broker."""

import asyncio

import pytest

from event_trio.consumer.event import Event
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, consumer_of, effects, make_effects
from tests.support.databases import TestDatabase, fetch
from tests.support.events import envelope_of
from tests.support.waiting import eventually

EVENTS, GROUPS = 1000, 100
CALLS_PER_EVENT = 0.25
COMMITS_PER_EVENT = 1.0
# Opening connections, polls for what is due, autovacuum: whatever the number of events.
COMMITS_BESIDE = 150


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


async def commits(database: TestDatabase) -> int:
    await fetch(database.url, "SELECT pg_stat_force_next_flush()")
    [row] = await fetch(database.url, "SELECT xact_commit FROM pg_stat_database WHERE datname = $1", database.name)
    return int(row["xact_commit"])


async def test_an_event_costs_a_commit_and_a_quarter_of_a_call(database: TestDatabase) -> None:
    queue = MemoryQueue()
    for number in range(EVENTS):
        queue.send(envelope_of(Counted(), subject=f"group-{number % GROUPS}", sequence=1 + number // GROUPS))
    before = await commits(database)
    limits = Limits(concurrency=8, polling=Polling(wait_seconds=1, visibility_seconds=60))
    async with consumer_of(database, queue, limits=limits, poll_seconds=5.0) as tested:

        async def is_done() -> bool:
            return queue.is_empty

        await eventually(is_done, timeout=90)
        await tested.drain()
    calls = sum(queue.calls.values())
    found = await effects(database)
    assert len(found) == EVENTS
    for group in range(GROUPS):
        mine = [sequence for subject, sequence in found if subject == f"group-{group}"]
        assert mine == list(range(1, EVENTS // GROUPS + 1))
    assert calls <= EVENTS * CALLS_PER_EVENT, queue.calls
    assert await commits(database) - before <= EVENTS * COMMITS_PER_EVENT + COMMITS_BESIDE


async def test_a_process_that_dies_before_the_commit_has_deleted_nothing(database: TestDatabase) -> None:
    queue, event, written = MemoryQueue(), envelope_of(Counted()), asyncio.Event()
    queue.send(event)

    async def hang(event: Event[Counted]) -> None:
        written.set()
        await asyncio.Event().wait()

    async with consumer_of(database, queue, after=hang) as dying:
        await asyncio.wait_for(written.wait(), 10)
        with pytest.raises(AssertionError):
            await eventually(lambda: emptied(queue), timeout=1.0)
        await dying.kill()
    async with consumer_of(database, queue) as tested:
        await tested.completed(event.id, "handled")
        await eventually(lambda: emptied(queue))
    assert await effects(database) == [("subject-1", 1)]


async def emptied(queue: MemoryQueue) -> bool:
    return queue.is_empty
