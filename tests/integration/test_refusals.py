"""What Postgres really says when it refuses: each refusal is met on the way in and told apart."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared import database
from shared.database import create_engine, create_pool, transaction
from shared.database_faults import Fault, fault_of
from tests.support.databases import TestDatabase, execute
from tests.support.servers import PostgresServer
from tools.embedded.ports import free_port

# What a server says before it ends a connection, as bytes: between the two, anything may be begun on it.
LAST_WORD = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
LAST_MESSAGE = b"E" + (len(LAST_WORD) + 4).to_bytes(4, "big") + LAST_WORD


async def caught(url: str, *statements: str) -> list[Fault | None]:
    """What the same work meets through SQLAlchemy and through asyncpg alone."""
    found = []
    engine = create_engine(url, application_name="tested")
    try:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    except Exception as error:  # noqa: BLE001 - whatever comes is told
        found.append(fault_of(error))
    finally:
        await engine.dispose()
    async with create_pool(url, application_name="tested") as pool:
        try:
            async with transaction(pool) as bare:
                for statement in statements:
                    await bare.execute(statement)
        except Exception as error:  # noqa: BLE001 - whatever comes is told
            found.append(fault_of(error))
    return found


@asynccontextmanager
async def role(admin_url: str, options: str) -> AsyncIterator[str]:
    name = f"refused_{secrets.token_hex(4)}"
    await execute(admin_url, f"CREATE ROLE {name} {options}")
    try:
        yield name
    finally:
        await execute(admin_url, f"DROP ROLE {name}")


async def test_a_way_in_that_is_shut_is_the_databases(postgres: PostgresServer, outbox_database: TestDatabase) -> None:
    url, both = outbox_database.url, [Fault.DATABASE, Fault.DATABASE]
    async with role(postgres.admin_url, "NOLOGIN") as shut_out:
        assert await caught(outbox_database.url_for(shut_out), "SELECT 1") == both
    assert await caught(f"{url}_missing", "SELECT 1") == both
    assert await caught(f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere", "SELECT 1") == both
    await execute(postgres.admin_url, f'ALTER DATABASE "{outbox_database.name}" ALLOW_CONNECTIONS false')
    assert await caught(url, "SELECT 1") == both


async def test_a_read_only_database_is_the_databases(outbox_database: TestDatabase) -> None:
    await execute(
        outbox_database.url, f'ALTER DATABASE "{outbox_database.name}" SET default_transaction_read_only = on'
    )
    assert await caught(outbox_database.url, "CREATE TABLE t (a int)") == [Fault.DATABASE] * 2


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["SELECT pg_terminate_backend(pg_backend_pid())"], Fault.DATABASE),
        (["SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(5)"], Fault.PASSING),
        (
            ["CREATE TEMP TABLE t (a int UNIQUE INITIALLY DEFERRED)", "INSERT INTO t VALUES (1), (1)"],
            Fault.OWN,
        ),
        (["DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"], Fault.OWN),
        (["SELECT missing FROM outbox_event"], Fault.OWN),
        (["SELECT FROM missing"], Fault.UNPREPARED),
    ],
)
async def test_what_fails_once_inside(outbox_database: TestDatabase, statements: list[str], fault: Fault) -> None:
    assert await caught(outbox_database.url, *statements) == [fault] * 2


@pytest.mark.parametrize("at", ["start", "commit"])
async def test_after_the_server_s_last_word_the_database_is_away(outbox_database: TestDatabase, at: str) -> None:
    with pytest.raises(DBAPIError) as wrapped:
        await ended_in_engine(outbox_database.url, at)
    with pytest.raises(asyncpg.InternalClientError) as bare:
        await ended_in_pool(outbox_database.url, at)
    assert (fault_of(wrapped.value), fault_of(bare.value)) == (Fault.DATABASE, Fault.DATABASE)


async def ended_in_engine(url: str, at: str) -> None:
    engine = create_engine(url, application_name="tested")
    try:
        async with engine.begin() as connection:
            if at == "commit":
                await connection.execute(text("SELECT 1"))
            end(await connection.get_raw_connection())
            if at == "start":
                await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


async def ended_in_pool(url: str, at: str) -> None:
    async with create_pool(url, application_name="tested", max_size=1) as pool:
        if at == "start":
            async with pool.acquire() as free:
                end(free)
        async with transaction(pool) as taken:
            end(taken)


def end(connection: Any) -> None:
    getattr(connection, "driver_connection", connection)._protocol.data_received(LAST_MESSAGE)


async def test_no_answer_in_time_is_the_databases(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.1)
    assert await caught(outbox_database.url, "SELECT pg_sleep(5)") == [Fault.DATABASE] * 2


async def test_a_value_that_the_driver_cannot_send_is_no_outage(outbox_database: TestDatabase) -> None:
    connection = await asyncpg.connect(outbox_database.url)
    try:
        with pytest.raises(asyncpg.DataError) as raised:
            await connection.fetch("SELECT $1::int", "abc")
    finally:
        await connection.close()
    assert fault_of(raised.value) is Fault.OWN
