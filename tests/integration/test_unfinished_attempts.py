"""Possibly poisonous messages: their attempts are recorded, and they run in isolation only after an unfinished one."""

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


async def leave_attempt(database: TestDatabase, event: Envelope, starts: int) -> None:
    values = f"VALUES ('{CONSUMER}', '{event.id}', {starts})"
    await execute(database.url, f"INSERT INTO started_message (consumer, event_id, starts) {values}")


async def test_a_third_delivery_delays_no_other_message(database: TestDatabase) -> None:
    """One redelivery has many harmless causes, and so have two."""
    queue, poisonous = MemoryQueue(), envelope_of(Counted(), subject="poisonous")
    others = [envelope_of(Counted(), subject=f"other-{number}") for number in range(20)]
    running, release = asyncio.Event(), asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        if event.envelope.subject == "poisonous":
            running.set()
            await release.wait()

    async with consumer_of(database, queue, act=act, timeout=60) as tested:
        send_third(queue, poisonous)
        await asyncio.wait_for(running.wait(), 10)
        assert await rows(database, MARKS) == [(str(poisonous.id), 1)], "it is marked before it runs"
        for other in others:
            queue.send(other)
        for other in others:
            await tested.completed(other.id, "handled")
        release.set()
        await tested.completed(poisonous.id, "handled")
    assert await rows(database, MARKS) == []


async def test_a_message_with_an_unfinished_attempt_runs_in_isolation(database: TestDatabase) -> None:
    queue, poisonous = MemoryQueue(), envelope_of(Counted(), subject="poisonous")
    others = [envelope_of(Counted(), subject=f"other-{number}") for number in range(5)]
    running: set[str] = set()
    seen: dict[str, set[str]] = {}

    async def act(event: Event[Counted]) -> None:
        running.add(event.envelope.subject)
        await rows(database, MARKS)
        seen[event.envelope.subject] = set(running)
        running.remove(event.envelope.subject)

    await leave_attempt(database, poisonous, 1)
    for other in others[:2]:
        queue.send(other)
    send_third(queue, poisonous)
    for other in others[2:]:
        queue.send(other)
    async with consumer_of(database, queue, act=act) as tested:
        for event in (poisonous, *others):
            await tested.completed(event.id, "handled")
    assert seen["poisonous"] == {"poisonous"}
    assert not any("poisonous" in seen[other.subject] for other in others)
    assert await rows(database, MARKS) == []


async def test_the_attempts_of_a_duplicate_are_removed(database: TestDatabase) -> None:
    queue, event = MemoryQueue(), envelope_of(Counted())
    async with consumer_of(database, queue) as tested:
        queue.send(event)
        await tested.completed(event.id, "handled")
        await leave_attempt(database, event, 1)
        send_third(queue, event)
        await tested.completed(event.id, "duplicate")
    assert await rows(database, MARKS) == []


async def test_a_mark_stands_only_while_it_runs(database: TestDatabase) -> None:
    """A process that dies while the message waits for its next attempt did not die over it."""
    queue, poisonous, failed = MemoryQueue(), envelope_of(Counted()), False

    async def fail_once(event: Event[Counted]) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise DependencyUnavailable(2.0, "away")

    async def unmarked() -> bool:
        assert await effects(database) == []
        return await rows(database, MARKS) == []

    async with consumer_of(database, queue, act=fail_once) as tested:
        send_third(queue, poisonous)
        await tested.signals.wait("consumer.postponed")
        await eventually(unmarked)
        await tested.completed(poisonous.id, "handled")
    assert await rows(database, MARKS) == []


async def test_the_fourth_start_without_an_end_is_a_dead_letter(database: TestDatabase) -> None:
    queue, killer = MemoryQueue(), envelope_of(Counted())
    await leave_attempt(database, killer, 3)
    send_third(queue, killer)
    async with consumer_of(database, queue) as tested:
        await tested.completed(killer.id, "dead_letter")
    assert await rows(database, "SELECT reason FROM deferred_message") == [("process_died",)]
    assert await rows(database, MARKS) == []
