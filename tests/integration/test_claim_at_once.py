"""A claim in one round trip sees what the previous holder of the group's lock committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.database.connections import create_engine
from event_trio.inbox.claim_at_once import Writes, claim_at_once
from event_trio.inbox.connections import InboxConnections
from event_trio.inbox.states import ClaimResult, DeferredState, InboxOutcome, Status
from tests.support.consuming import Counted, delivery_of, effects, make_effects, rows
from tests.support.databases import TestDatabase, execute
from tests.support.events import envelope_of
from tests.support.waiting import eventually

NEW, STALE = InboxOutcome.HANDLED, InboxOutcome.HANDLED_STALE
WRITE = "INSERT INTO effect (event_id, subject, sequence, stale) SELECT $1, $2, $3, false FROM claimed"
WAITING = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
async def database(notifications_database: TestDatabase) -> TestDatabase:
    await make_effects(notifications_database)
    return notifications_database


@asynccontextmanager
async def opened(database: TestDatabase) -> AsyncIterator[tuple[async_sessionmaker[AsyncSession], InboxConnections]]:
    engine = create_engine(database.url_for("notification_api"), application_name="claims")
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    connections = InboxConnections(sessions, kept=2)
    try:
        yield sessions, connections
    finally:
        await connections.close()
        await engine.dispose()


def writes(sequence: int) -> Writes:
    return Writes({"written": WRITE}, str(sequence), "subject-1", sequence)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
async def test_an_earlier_event_that_is_deferred_while_the_lock_is_waited_for_blocks_the_claim(
    isolation: str, database: TestDatabase
) -> None:
    """Whatever the default of the database is: a snapshot older than the lock would let it pass."""
    default = f"SET default_transaction_isolation = '{isolation}'"
    await execute(database.url, f'ALTER ROLE notification_api IN DATABASE "{database.name}" {default}')
    first, second = (delivery_of(envelope_of(Counted(), sequence=number)) for number in (1, 2))
    state = DeferredState(Status.WAITING, "failed", "later", due_in=3600.0, blocks=True)

    async def is_waited_for() -> bool:
        return bool(await rows(database, WAITING))

    async with opened(database) as (sessions, connections), sessions() as deferring:
        assert await first.defer(deferring, state) is ClaimResult.NEW
        claiming = asyncio.create_task(connections.record(second, new=NEW, stale=STALE, writes=writes(2)))
        await eventually(is_waited_for)
        await deferring.commit()
        assert await claiming is None
        assert await connections.look(second) is ClaimResult.BLOCKED
    assert await effects(database) == []


async def test_of_two_claims_of_one_event_one_writes(database: TestDatabase) -> None:
    event = envelope_of(Counted(), sequence=1)
    async with opened(database) as (_, connections):
        claims = (connections.record(delivery_of(event), new=NEW, stale=STALE, writes=writes(1)) for _ in range(8))
        found: list[Any] = await asyncio.gather(*claims)
    assert sorted(found, key=str) == [None] * 7 + [InboxOutcome.HANDLED]
    assert await effects(database) == [("subject-1", 1)]


async def test_a_write_that_fails_leaves_no_inbox_row(database: TestDatabase) -> None:
    delivery = delivery_of(envelope_of(Counted()))
    failing = Writes({"written": WRITE.replace("$3", "$3 / 0")}, "1", "subject-1", 1)
    async with opened(database) as (_, connections):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connections.record(delivery, new=NEW, stale=STALE, writes=failing)
        assert await connections.look(delivery) is ClaimResult.NEW
        assert await connections.record(delivery, new=NEW, stale=STALE, writes=writes(1)) is InboxOutcome.HANDLED


async def test_in_a_transaction_a_claim_belongs_to_it(database: TestDatabase) -> None:
    delivery = delivery_of(envelope_of(Counted()))
    connection = await asyncpg.connect(database.url)
    try:
        transaction = connection.transaction(isolation="read_committed")
        await transaction.start()
        assert await claim_at_once(connection, delivery, new=NEW, stale=STALE) is InboxOutcome.HANDLED
        await transaction.rollback()
        assert await claim_at_once(connection, delivery, new=NEW, stale=STALE) is InboxOutcome.HANDLED
        assert await claim_at_once(connection, delivery, new=NEW, stale=STALE) is None
    finally:
        await connection.close()
