"""The errors of a real Postgres are classified, with and without SQLAlchemy."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from event_trio.database import connections as database
from event_trio.database.connections import Pool, create_engine, create_pool, transaction
from event_trio.database.faults import Fault, fault_of
from event_trio.http.database import database_checks
from event_trio.http.health import assess
from services.relay.operators.overview import Overview
from services.relay.publishing.outbox_reader import find_outbox
from tests.support.databases import TestDatabase, execute
from tests.support.databases import database as empty_database
from tests.support.servers import PostgresServer
from tools.embedded.ports import free_port

# What a server says before it ends a connection, as bytes: between the two, anything may be begun on it.
LAST_WORD = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
LAST_MESSAGE = b"E" + (len(LAST_WORD) + 4).to_bytes(4, "big") + LAST_WORD


async def caught(url: str, *statements: str) -> list[Fault | None]:
    """The faults of the same work through SQLAlchemy and through asyncpg."""
    found = []
    engine = create_engine(url, application_name="tested")
    try:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    except Exception as error:  # noqa: BLE001 - every error is described
        found.append(fault_of(error))
    finally:
        await engine.dispose()
    async with create_pool(url, application_name="tested") as pool:
        try:
            async with transaction(pool) as bare:
                for statement in statements:
                    await bare.execute(statement)
        except Exception as error:  # noqa: BLE001 - every error is described
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
    url, both = outbox_database.url, [Fault.UNAVAILABLE, Fault.UNAVAILABLE]
    async with role(postgres.admin_url, "NOLOGIN") as shut_out:
        assert await caught(outbox_database.url_for(shut_out), "SELECT 1") == both
    assert await caught(f"{url}_missing", "SELECT 1") == both
    assert await caught(f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere", "SELECT 1") == both
    await execute(postgres.admin_url, f'ALTER DATABASE "{outbox_database.name}" ALLOW_CONNECTIONS false')
    assert await caught(url, "SELECT 1") == both


# How a way in is shut, with the state that the server then gives; the role is no superuser's.
SHUT = {
    "28000": 'ALTER ROLE "{role}" NOLOGIN',
    "53300": 'ALTER DATABASE "{database}" CONNECTION LIMIT 0',
    "55000": 'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false',
    "3D000": 'ALTER DATABASE "{database}" RENAME TO "{database}_renamed"',
    "42501": 'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC',
}


@asynccontextmanager
async def shut(postgres: PostgresServer, state: str) -> AsyncIterator[str]:
    """The URL of a database that rejects connections with that SQLSTATE."""
    async with role(postgres.admin_url, "LOGIN") as name, empty_database(postgres.admin_url) as made:
        await execute(postgres.admin_url, SHUT[state].format(role=name, database=made.name))
        try:
            with pytest.raises(asyncpg.PostgresError) as refused:
                await asyncpg.connect(made.url_for(name))
            assert refused.value.sqlstate == state
            yield made.url_for(name)
        finally:
            await execute(postgres.admin_url, f'DROP DATABASE IF EXISTS "{made.name}_renamed"')


@pytest.mark.parametrize("state", SHUT)
async def test_readiness_says_that_the_way_in_is_shut(postgres: PostgresServer, state: str) -> None:
    async with shut(postgres, state) as url:
        engine = create_engine(url, application_name="tested")
        with capture_logs() as logs:
            found = await assess(database_checks(engine, "services.order.migrations"))
        await engine.dispose()
    assert {name: result.detail for name, result in found.checks.items()} == {
        "database": "the database cannot be reached or refuses connections",
        "migrations": "unknown while the database cannot be reached",
    }
    assert all("exc_info" not in entry for entry in logs), logs
    assert [entry["action"] for entry in logs].count("health.database_unavailable") == 1


async def lacking(url: str) -> tuple[str | None, list[str]]:
    """The results of both checks of a relay's outbox, and their log lines."""
    async with create_pool(url, application_name="tested") as pool:
        with capture_logs() as logs:
            said = await find_outbox(pool)
            assert await Overview(pool, lease_seconds=15).paused() == said
    return said, [entry["action"] for entry in logs]


@pytest.mark.parametrize("state", SHUT)
async def test_a_relay_that_is_shut_out_says_one_thing_and_logs_it_once(postgres: PostgresServer, state: str) -> None:
    async with shut(postgres, state) as url:
        said, logged = await lacking(url)
    assert "may not read" in (said or "") if state == "42501" else "cannot be reached" in (said or "")
    assert logged == ([] if state == "42501" else ["relay.outbox_unavailable"])


async def test_a_relay_without_grants_or_tables_says_one_thing(
    postgres: PostgresServer, outbox_database: TestDatabase
) -> None:
    async with role(postgres.admin_url, "LOGIN") as name, empty_database(postgres.admin_url) as empty:
        said = [(await lacking(made.url_for(name)))[0] or "" for made in (outbox_database, empty)]
    assert ("may not read" in said[0], "no outbox" in said[1]) == (True, True)
    await execute(outbox_database.url, "ALTER TABLE outbox_control RENAME COLUMN paused_by TO paused_with")
    async with create_pool(outbox_database.url, application_name="tested") as pool:
        assert "older one" in (await Overview(pool, lease_seconds=15).paused() or "")


async def test_a_read_only_database_is_the_databases(outbox_database: TestDatabase) -> None:
    await execute(
        outbox_database.url, f'ALTER DATABASE "{outbox_database.name}" SET default_transaction_read_only = on'
    )
    assert await caught(outbox_database.url, "CREATE TABLE t (a int)") == [Fault.UNAVAILABLE] * 2


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["SELECT pg_terminate_backend(pg_backend_pid())"], Fault.UNAVAILABLE),
        (["SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(5)"], Fault.TRANSIENT),
        (
            ["CREATE TEMP TABLE t (a int UNIQUE INITIALLY DEFERRED)", "INSERT INTO t VALUES (1), (1)"],
            Fault.STATEMENT,
        ),
        (["DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"], Fault.STATEMENT),
        (["SELECT missing FROM outbox_event"], Fault.STATEMENT),
        (["SELECT FROM missing"], Fault.NOT_MIGRATED),
    ],
)
async def test_what_fails_once_inside(outbox_database: TestDatabase, statements: list[str], fault: Fault) -> None:
    assert await caught(outbox_database.url, *statements) == [fault] * 2


@pytest.mark.parametrize("at", ["start", "statement", "commit"])
async def test_after_the_server_s_last_word_the_database_is_away(outbox_database: TestDatabase, at: str) -> None:
    with pytest.raises(DBAPIError) as wrapped:
        await ended_in_engine(outbox_database.url, at)
    with pytest.raises((asyncpg.InternalClientError, asyncpg.InterfaceError)) as bare:
        await ended_in_pool(outbox_database.url, at)
    assert (fault_of(wrapped.value), fault_of(bare.value)) == (Fault.UNAVAILABLE, Fault.UNAVAILABLE)


async def ended_in_engine(url: str, at: str) -> None:
    engine = create_engine(url, application_name="tested")
    try:
        async with engine.begin() as connection:
            if at != "start":
                await connection.execute(text("SELECT 1"))
            end(await connection.get_raw_connection())
            if at != "commit":
                await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


async def ended_in_pool(url: str, at: str) -> None:
    async with create_pool(url, application_name="tested", max_size=1) as pool:
        try:
            if at == "start":
                async with pool.acquire() as free:
                    end(free)
            async with transaction(pool) as taken:
                end(taken)
                if at == "statement":
                    await taken.execute("SELECT 1")
        finally:
            # Whoever comes at once does not get that connection.
            async with transaction(pool) as next_one:
                await next_one.execute("SELECT 1")


@pytest.mark.parametrize("look", [find_outbox, lambda pool: Overview(pool, lease_seconds=15).paused()])
async def test_a_look_leaves_a_connection_that_is_ending_to_nobody(
    outbox_database: TestDatabase, look: Callable[[Pool], Awaitable[str | None]]
) -> None:
    async with create_pool(outbox_database.url, application_name="tested", max_size=1) as pool:
        async with pool.acquire() as free:
            end(free)
        assert "cannot be reached" in (await look(pool) or "")
        async with transaction(pool) as next_one:
            await next_one.execute("SELECT 1")


def end(connection: Any) -> None:
    getattr(connection, "driver_connection", connection)._protocol.data_received(LAST_MESSAGE)


async def test_no_answer_in_time_is_the_databases(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.1)
    assert await caught(outbox_database.url, "SELECT pg_sleep(5)") == [Fault.UNAVAILABLE] * 2


async def test_a_value_that_the_driver_cannot_send_is_no_outage(outbox_database: TestDatabase) -> None:
    connection = await asyncpg.connect(outbox_database.url)
    try:
        with pytest.raises(asyncpg.DataError) as raised:
            await connection.fetch("SELECT $1::int", "abc")
    finally:
        await connection.close()
    assert fault_of(raised.value) is Fault.STATEMENT
