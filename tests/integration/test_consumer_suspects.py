"""Messages that may have killed a process: marked before they run, and alone only if a mark was left behind."""

import asyncio

import pytest

from event_trio.consumer.errors import DependencyUnavailable
from event_trio.consumer.event import Event
from event_trio.envelope import Envelope
from event_trio.testing import MemoryQueue
from tests.support.consuming import CONSUMER, Counted, consumer_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.waiting import eventually

MARKS = "SELECT event_id, starts FROM started_message"


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


def send_third(queue: MemoryQueue, event: Envelope) -> None:
    """Its next delivery is the third."""
    queue.send(event)
    queue._groups[event.partitionkey][-1].receives = 2


async def leave_mark(database: TestDatabase, event: Envelope, starts: int) -> None:
    values = f"VALUES ('{CONSUMER}', '{event.id}', {starts})"
    await execute(database.url, f"INSERT INTO started_message (consumer, event_id, starts) {values}")


async def test_a_third_delivery_stops_nobody(database: TestDatabase) -> None:
    """One redelivery has many innocent causes, and so have two."""
    queue, suspect = MemoryQueue(), envelope_of(Counted(), subject="suspect")
    others = [envelope_of(Counted(), subject=f"other-{number}") for number in range(20)]
    running, release = asyncio.Event(), asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        if event.envelope.subject == "suspect":
            running.set()
            await release.wait()

    async with consumer_of(database, queue, act=act, timeout=60) as tested:
        send_third(queue, suspect)
        await asyncio.wait_for(running.wait(), 10)
        assert await rows(database, MARKS) == [(str(suspect.id), 1)], "it is marked before it runs"
        for other in others:
            queue.send(other)
        for other in others:
            await tested.settled(other.id, "handled")
        release.set()
        await tested.settled(suspect.id, "handled")
    assert await rows(database, MARKS) == []


async def test_what_left_a_mark_behind_runs_alone(database: TestDatabase) -> None:
    queue, suspect = MemoryQueue(), envelope_of(Counted(), subject="suspect")
    others = [envelope_of(Counted(), subject=f"other-{number}") for number in range(5)]
    running: set[str] = set()
    seen: dict[str, set[str]] = {}

    async def act(event: Event[Counted]) -> None:
        running.add(event.envelope.subject)
        await rows(database, MARKS)
        seen[event.envelope.subject] = set(running)
        running.remove(event.envelope.subject)

    await leave_mark(database, suspect, 1)
    for other in others[:2]:
        queue.send(other)
    send_third(queue, suspect)
    for other in others[2:]:
        queue.send(other)
    async with consumer_of(database, queue, act=act) as tested:
        for event in (suspect, *others):
            await tested.settled(event.id, "handled")
    assert seen["suspect"] == {"suspect"}
    assert not any("suspect" in seen[other.subject] for other in others)
    assert await rows(database, MARKS) == []


async def test_what_was_handled_elsewhere_meanwhile_is_settled_and_its_mark_forgotten(database: TestDatabase) -> None:
    queue, event = MemoryQueue(), envelope_of(Counted())
    async with consumer_of(database, queue) as tested:
        queue.send(event)
        await tested.settled(event.id, "handled")
        await leave_mark(database, event, 1)
        send_third(queue, event)
        await tested.settled(event.id, "duplicate")
    assert await rows(database, MARKS) == []


async def test_a_mark_stands_only_while_it_runs(database: TestDatabase) -> None:
    """A process that dies while the message waits for its next attempt did not die over it."""
    queue, suspect, failed = MemoryQueue(), envelope_of(Counted()), False

    async def fail_once(event: Event[Counted]) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise DependencyUnavailable(2.0, "away")

    async def unmarked() -> bool:
        assert await effects(database) == []
        return await rows(database, MARKS) == []

    async with consumer_of(database, queue, act=fail_once) as tested:
        send_third(queue, suspect)
        await tested.signals.wait("consumer.postponed")
        await eventually(unmarked)
        await tested.settled(suspect.id, "handled")
    assert await rows(database, MARKS) == []


async def test_the_fourth_start_without_an_end_is_a_dead_letter(database: TestDatabase) -> None:
    queue, killer = MemoryQueue(), envelope_of(Counted())
    await leave_mark(database, killer, 3)
    send_third(queue, killer)
    async with consumer_of(database, queue) as tested:
        await tested.settled(killer.id, "dead_letter")
    assert await rows(database, "SELECT reason FROM deferred_message") == [("process_died",)]
    assert await rows(database, MARKS) == []
