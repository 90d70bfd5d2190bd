"""Two handlers in a deadlock: Postgres ends one of them, and that is no attempt of its event's."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.broker.aws import Aws
from event_trio.consumer.event import Event
from event_trio.consumer.policies import DeadLetter
from event_trio.consumer.router import Router
from tests.support.consuming import Counted, consumer_with, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.fifo import FifoQueue, fifo_queue


@pytest.fixture
async def queue(aws: Aws) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws) as made:
        yield made


async def test_a_deadlock_is_not_counted_as_an_attempt(notifications_database: TestDatabase, queue: FifoQueue) -> None:
    await execute(
        notifications_database.url,
        "CREATE TABLE stock (sku text PRIMARY KEY, taken int NOT NULL)",
        "INSERT INTO stock VALUES ('tea', 0), ('pot', 0)",
        "GRANT SELECT, UPDATE ON stock TO notification_api",
    )
    wanted = {"tea-first": ("tea", "pot"), "pot-first": ("pot", "tea")}
    runs: list[str] = []
    both_hold_one = asyncio.Barrier(2)

    async def take(session: AsyncSession, event: Event[Counted], _: object) -> None:
        subject = event.envelope.subject
        runs.append(subject)
        one, other = wanted[subject]
        update = text("UPDATE stock SET taken = taken + 1 WHERE sku = :sku")
        await session.execute(update, {"sku": one})
        if runs.count(subject) == 1:
            await both_hold_one.wait()
        await session.execute(update, {"sku": other})

    router = Router()
    router.handle(Counted, take, policy=DeadLetter())
    events = [envelope_of(Counted(), subject=subject) for subject in wanted]
    async with consumer_with(notifications_database, queue.reader(), router) as tested:
        for event in events:
            await queue.send(event)
        for event in events:
            await tested.completed(event.id, "handled")
    assert len(runs) == 3, "one was ended by Postgres, and ran again"
    assert await rows(notifications_database, "SELECT taken FROM stock") == [(2,), (2,)]
    assert await rows(notifications_database, "SELECT 1 FROM deferred_message") == []
