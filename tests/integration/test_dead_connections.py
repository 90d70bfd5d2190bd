"""A transaction that meets a dead connection at its first statement begins on another one, without a test of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.suite.round_trips import counted_server
from event_trio.database.connections import STATEMENT_SECONDS, autocommit, create_engine, limit_waits, open_pool
from event_trio.database.faults import Fault, fault_of
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.faulty_postgres import FaultyPostgres, faulty_postgres
from tests.support.waiting import eventually

PID = "SELECT pg_backend_pid()"
Use: TypeAlias = Callable[[AsyncEngine], Awaitable[int]]


@asynccontextmanager
async def one_connection(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine with one connection, which has been used."""
    engine = limit_waits(create_engine(url, application_name="tested", pool_size=1, overflow=0))
    try:
        await by_engine(engine)
        await by_driver(engine)
        yield engine
    finally:
        await engine.dispose()


async def by_engine(engine: AsyncEngine) -> int:
    async with engine.begin() as connection:
        return int((await connection.execute(text(PID))).scalar_one())


async def by_driver(engine: AsyncEngine) -> int:
    async with autocommit(engine) as connection:
        return int(await connection.fetchval(PID))


USES = pytest.mark.parametrize("use", [by_engine, by_driver])


@pytest.fixture
async def proxy(outbox_database: TestDatabase) -> AsyncIterator[FaultyPostgres]:
    async with faulty_postgres(outbox_database) as found:
        yield found


@USES
async def test_a_connection_that_was_ended_is_replaced(
    outbox_database: TestDatabase, use: Callable[[AsyncEngine], Awaitable[int]]
) -> None:
    async with one_connection(outbox_database.url) as engine:
        before = await use(engine)
        await execute(outbox_database.url, f"SELECT pg_terminate_backend({before})")

        async def gone() -> bool:
            return not await fetch(outbox_database.url, "SELECT 1 FROM pg_stat_activity WHERE pid = $1", before)

        await eventually(gone)
        assert await use(engine) != before


async def test_a_transaction_begins_again_where_begin_meets_a_dead_connection(proxy: FaultyPostgres) -> None:
    async with one_connection(proxy.database.url) as engine:
        before = await by_engine(engine)
        proxy.cuts = 1
        assert await by_engine(engine) != before
        assert proxy.cuts == 0


async def test_a_transaction_is_not_begun_a_third_time(proxy: FaultyPostgres) -> None:
    async with one_connection(proxy.database.url) as engine:
        proxy.cuts = 2
        with pytest.raises((DBAPIError, OSError)) as caught:
            await by_engine(engine)
        assert fault_of(caught.value) is Fault.UNAVAILABLE
        assert proxy.cuts == 0
        assert await by_engine(engine)


async def test_a_later_statement_is_not_repeated(proxy: FaultyPostgres) -> None:
    async def cut_in_the_middle(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(PID))
            proxy.cuts = 1
            await connection.execute(text(PID))

    async with one_connection(proxy.database.url) as engine:
        with pytest.raises(DBAPIError) as caught:
            await cut_in_the_middle(engine)
        assert fault_of(caught.value) is Fault.UNAVAILABLE
        assert await by_engine(engine)


async def test_a_connection_that_was_cut_is_not_returned_to_the_pool(proxy: FaultyPostgres) -> None:
    async with one_connection(proxy.database.url) as engine:
        proxy.cuts = 1
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await by_driver(engine)
        assert await by_driver(engine)
        proxy.freeze()
        with pytest.raises(TimeoutError):
            async with autocommit(engine) as connection:
                await connection.fetch(PID, timeout=0.1)
        assert await by_driver(engine)


async def test_a_connection_that_is_refused_raises_the_error_of_the_driver(outbox_database: TestDatabase) -> None:
    engine = create_engine(f"{outbox_database.url}_missing", application_name="tested")
    for use in (by_driver, by_engine):
        with pytest.raises(asyncpg.InvalidCatalogNameError if use is by_driver else DBAPIError) as caught:
            await use(engine)
        assert fault_of(caught.value) is Fault.UNAVAILABLE
    await engine.dispose()


async def test_errors_and_cancellations_keep_the_connection(outbox_database: TestDatabase) -> None:
    async def run(engine: AsyncEngine, statement: str) -> None:
        async with asyncio.timeout(0.1), autocommit(engine) as connection:
            await connection.fetch(statement)

    async with one_connection(outbox_database.url) as engine:
        before = await by_driver(engine)
        with pytest.raises(asyncpg.UndefinedTableError):
            await run(engine, "SELECT FROM missing")
        with pytest.raises(TimeoutError):
            await run(engine, "SELECT pg_sleep(30)")
        assert await by_driver(engine) == await by_engine(engine) == before


async def test_statements_without_a_transaction_have_the_isolation_of_transactions(
    outbox_database: TestDatabase,
) -> None:
    isolation = "SHOW transaction_isolation"
    await execute(
        outbox_database.url,
        f"ALTER DATABASE {outbox_database.name} SET default_transaction_isolation = 'repeatable read'",
    )
    async with one_connection(outbox_database.url) as engine:
        async with autocommit(engine) as connection:
            assert await connection.fetchval(isolation) == "read committed"
        async with engine.begin() as session:
            assert (await session.execute(text(isolation))).scalar_one() == "read committed"


async def test_a_transaction_costs_its_statements_and_two_round_trips(outbox_database: TestDatabase) -> None:
    port = int(outbox_database.url.rpartition(":")[2].partition("/")[0])
    async with (
        counted_server(port) as counted,
        one_connection(counted.url(outbox_database.url)) as engine,
    ):
        counted.round_trips.clear()
        await by_engine(engine)
        assert counted.round_trips["tested"] == 3
        await by_driver(engine)
        assert counted.round_trips["tested"] == 4


async def test_a_pool_with_a_dead_connection_closes_soon_and_without_an_error(proxy: FaultyPostgres) -> None:
    async with open_pool(proxy.database.url, application_name="tested", max_size=2) as pool:
        async with pool.acquire():
            proxy.freeze()
            async with pool.acquire() as usable:
                assert await usable.fetchval("SELECT 1") == 1
        connections = [holder._con for holder in pool._holders]
        begun = time.monotonic()
    assert time.monotonic() - begun < STATEMENT_SECONDS / 2
    assert len(connections) == 2
    assert all(connection.is_closed() for connection in connections)
