"""Whose fault a failure is: only a database that takes no writes stops everybody, and nothing goes on for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.consumer.event import Event
from event_trio.consumer.pipeline import failures
from event_trio.consumer.policies import DeadLetter
from event_trio.consumer.router import Router
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, TestedConsumer, consumer_with, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.waiting import eventually

ABOUT = "SELECT subject, outcome FROM processed_message ORDER BY subject"


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await execute(
        notifications_database.url,
        "CREATE TABLE contended (id int PRIMARY KEY, email text CHECK (email <> 'ada@example.com'))",
        "INSERT INTO contended VALUES (1, 'nobody')",
        "GRANT SELECT, UPDATE ON contended TO notification_api",
    )
    return notifications_database


async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
    match event.envelope.subject.partition("-")[0]:
        case "template":
            Path("/nowhere/template.txt").read_text()
        case "refused":
            await asyncio.open_connection("127.0.0.1", 1)
        case "contended":
            await session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await session.execute(text("SELECT FROM contended WHERE id = 1 FOR UPDATE"))
        case "slow":
            await session.execute(text("SET LOCAL statement_timeout = '10ms'"))
            await session.execute(text("SELECT pg_sleep(5)"))
        case "killed":
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        case "ungranted":
            await session.execute(text("DELETE FROM contended"))


@asynccontextmanager
async def consuming(database: TestDatabase) -> AsyncIterator[tuple[TestedConsumer, MemoryQueue]]:
    queue, router = MemoryQueue(), Router()
    router.handle(Counted, record, policy=DeadLetter())
    async with consumer_with(database, queue, router) as tested:
        yield tested, queue


async def test_an_error_of_another_database_counts_as_an_attempt(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = ["refused", "template", "ungranted"]
    async with consuming(database) as (tested, queue):
        for subject in subjects:
            event = envelope_of(Counted(), subject=subject)
            queue.send(event)
            await tested.completed(event.id, "dead_letter")
        assert tested.signals.seen("consumer.postponed") == []
    assert await rows(database, ABOUT) == [(subject, "dead_letter") for subject in subjects]
    assert "consumer.database_unavailable" not in capsys.readouterr().out


async def test_a_contended_lock_delays_its_group_and_no_other(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = await asyncpg.connect(database.url)
    try:
        async with consuming(database) as (tested, queue):
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT FROM contended WHERE id = 1 FOR UPDATE")
            waits = envelope_of(Counted(), subject="contended")
            queue.send(waits)
            await tested.signals.wait("consumer.postponed", count=3)
            for number in range(5):
                other = envelope_of(Counted(), subject=f"other-{number}")
                queue.send(other)
                await tested.completed(other.id, "handled")
            assert tested.consumer.trouble is None
            await transaction.rollback()
            await tested.completed(waits.id, "handled")
    finally:
        await holder.close()
    said = capsys.readouterr().out
    assert "consumer.database_unavailable" not in said
    assert "consumer.transaction_conflict" in said


@pytest.mark.parametrize("subject", ["contended", "slow", "killed"])
async def test_an_event_that_always_conflicts_comes_to_an_end(
    database: TestDatabase, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "UNCOUNTED_FAILURES", 2)
    holder = await asyncpg.connect(database.url)
    try:
        async with holder.transaction(), consuming(database) as (tested, queue):
            await holder.execute("SELECT FROM contended WHERE id = 1 FOR UPDATE")
            event = envelope_of(Counted(), subject=subject)
            queue.send(event)
            await tested.completed(event.id, "dead_letter")
            assert len(tested.signals.seen("consumer.postponed")) == 2
    finally:
        await holder.close()


async def test_a_read_only_database_is_left_alone_until_it_takes_writes(database: TestDatabase) -> None:
    """Counted at the server: it is asked now and then, and not by every event again and again."""
    name = database.name
    turn = 'ALTER DATABASE "{name}" SET default_transaction_read_only = {to}'
    others = f"datname = '{name}' AND pid <> pg_backend_pid()"
    leave = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    async with consuming(database) as (tested, queue):
        first = envelope_of(Counted(), subject="first")
        queue.send(first)
        await tested.completed(first.id, "handled")
        await execute(database.url, turn.format(name=name, to="on"), leave)
        events = [envelope_of(Counted(), subject=f"order-{number}") for number in range(40)]
        for event in events:
            queue.send(event)

        async def closed() -> bool:
            return "database" in (tested.consumer.trouble or "")

        await eventually(closed, timeout=10)
        before = len(tested.signals.seen("consumer.postponed"))
        started = asyncio.get_running_loop().time()

        async def some_seconds_later() -> bool:
            return asyncio.get_running_loop().time() - started > 2

        await eventually(some_seconds_later, timeout=10)
        assert await closed()
        assert len(tested.signals.seen("consumer.postponed")) - before <= 16, "no event is started meanwhile"
        await execute(database.url, "SET default_transaction_read_only = off", turn.format(name=name, to="off"), leave)
        for event in events:
            await tested.completed(event.id, "handled")
    assert await rows(database, "SELECT count(*) FROM deferred_message") == [(0,)]
