"""Outages and stops: nothing is lost, nothing is half done, and no event pays for what is not its fault."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from event_trio.broker.aws import Aws
from event_trio.consumer.event import Event
from event_trio.consumer.sources.poller import Polling
from event_trio.consumer.sources.worker import Limits
from tests.support.consuming import Counted, TestedConsumer, completed, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
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


async def shut(admin_url: str, database: TestDatabase) -> None:
    """Terminate all connections to the database, and admit none."""
    await execute(
        admin_url,
        f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false',
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'",
    )


async def troubled(tested: TestedConsumer, words: str) -> bool:
    return words in (tested.consumer.trouble or "")


async def untroubled(tested: TestedConsumer) -> bool:
    return tested.consumer.trouble is None


async def test_an_outage_of_the_database_is_not_counted_as_an_attempt(
    postgres: object, database: TestDatabase, queue: FifoQueue
) -> None:
    admin_url = getattr(postgres, "admin_url")  # noqa: B009
    event, during = envelope_of(Counted(), sequence=1), envelope_of(Counted(), sequence=2)
    attempts: list[int] = []
    arrived, cut = asyncio.Event(), asyncio.Event()

    async def wait_for_the_cut(event: Event[Counted]) -> None:
        attempts.append(event.attempt)
        arrived.set()
        await cut.wait()

    async with consumer_of(database, queue.reader(), act=wait_for_the_cut) as tested:
        await queue.send(event)
        await arrived.wait()
        await shut(admin_url, database)
        cut.set()
        await eventually(lambda: troubled(tested, "database"))
        await queue.send(during)
        received = len(tested.signals.seen("consumer.received"))
        await tested.signals.wait("consumer.postponed")
        await execute(admin_url, f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')
        await tested.completed(event.id, "handled", timeout=30)
        await tested.completed(during.id, "handled")
        assert received <= 2
        assert tested.consumer.trouble is None
    assert set(attempts) == {1}
    assert await rows(database, "SELECT 1 FROM deferred_message") == []
    assert await effects(database) == [("subject-1", 1), ("subject-1", 2)]


async def test_a_queue_that_is_missing_is_waited_for_and_found_again(
    aws: Aws, database: TestDatabase, queue: FifoQueue
) -> None:
    first, second = (envelope_of(Counted(), sequence=number) for number in (1, 2))
    name = f"missing-{queue.name}"
    reader = queue.reader()
    reader.name = name
    async with consumer_of(database, reader) as tested:
        await eventually(lambda: troubled(tested, f"queue {name} does not exist"))
        for event in (first, second):
            async with fifo_queue(aws, name) as made:
                await made.send(event)
                await tested.completed(event.id, "handled")
                await eventually(lambda: untroubled(tested))
            await eventually(lambda: troubled(tested, f"queue {name} does not exist"))
            assert tested.registry.get_sample_value("consumer_receiving") == 0
        assert tested.task is not None
        assert not tested.task.done()
    assert await effects(database) == [("subject-1", 1), ("subject-1", 2)]


async def test_a_drain_finishes_what_runs_and_leaves_nothing_half_done(
    database: TestDatabase, queue: FifoQueue
) -> None:
    """One handler ends within the budget; one does not, and is rolled back and delivered to the next instance."""
    quick, stuck = envelope_of(Counted(), subject="quick"), envelope_of(Counted(), subject="stuck")
    release = asyncio.Event()
    started: set[str] = set()

    async def hold(event: Event[Counted]) -> None:
        started.add(event.envelope.subject)
        if event.envelope.subject == "stuck":
            await asyncio.Event().wait()
        await release.wait()

    async def both_started() -> bool:
        return started == {"quick", "stuck"}

    limits = Limits(drain_seconds=3.0, polling=Polling(wait_seconds=1, visibility_seconds=5))
    async with consumer_of(database, queue.reader(), after=hold, limits=limits, timeout=30) as tested:
        await queue.send(quick)
        await queue.send(stuck)
        await eventually(both_started)
        tested.stopping.set()
        release.set()
        await tested.drain()
        assert tested.signals.seen("consumer.drained")
        assert await effects(database) == [("quick", 1)]
    async with consumer_of(database, queue.reader()) as successor:
        await successor.completed(stuck.id, "handled", timeout=30)
        await eventually(queue.is_empty)
        assert successor.count("duplicate") == 0
    assert await effects(database) == [("quick", 1), ("stuck", 1)]


async def test_the_messages_of_the_last_receive_are_handled(database: TestDatabase, queue: FifoQueue) -> None:
    """The poll that is under way at the stop is not cut off: what it takes is handled before the end."""
    event = envelope_of(Counted())
    limits = Limits(drain_seconds=15.0, polling=Polling(wait_seconds=5, visibility_seconds=30))
    async with consumer_of(database, queue.reader(), limits=limits) as tested:
        await eventually(lambda: untroubled(tested))
        tested.stopping.set()
        await queue.send(event)
        await tested.drain()
        assert tested.count("handled") == 1
        assert await queue.is_empty()


async def test_memory_is_bounded_by_capacity(database: TestDatabase, queue: FifoQueue) -> None:
    """With every handler stuck it holds no more than it may, and leaves the rest in the queue."""
    limits = Limits(concurrency=2, capacity=20, polling=Polling(wait_seconds=1, visibility_seconds=30, receivers=1))
    release = asyncio.Event()

    async def stick(event: Event[Counted]) -> None:
        await release.wait()

    async with consumer_of(database, queue.reader(), act=stick, limits=limits, timeout=60) as tested:
        for number in range(30):
            await queue.send(envelope_of(Counted(), subject=f"order-{number}"))
        await tested.signals.wait("consumer.received")
        await eventually(lambda: held(tested, running=2))
        taken = sum(int(str(facts["messages"])) for facts in tested.signals.seen("consumer.received"))
        assert taken <= 20
        release.set()
        await completed(tested, messages=30)
        await eventually(queue.is_empty)
    assert len(await effects(database)) == 30


async def held(tested: TestedConsumer, *, running: int) -> bool:
    return tested.registry.get_sample_value("consumer_messages", {"state": "running"}) == running
