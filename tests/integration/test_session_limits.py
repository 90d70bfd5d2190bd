"""A session that stops in a transaction keeps its locks only so long, wherever in a statement it stopped."""

from uuid import uuid4

import asyncpg
import pytest

from event_trio.database import session_limits
from event_trio.database.connections import create_pool, transaction
from event_trio.database.session_limits import limit_session
from event_trio.database.url import parse
from services.relay.wal.replication import ReplicationConnection
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, TestDatabase, execute, fetch
from tests.support.faulty_postgres import faulty_postgres
from tests.support.waiting import eventually

LOCK = "SELECT FROM outbox_control FOR UPDATE"
LOCK_NOW = "SELECT FROM outbox_control FOR UPDATE NOWAIT"
SESSION = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = $1"
TRANSACTION_TIMEOUT = "SELECT current_setting('transaction_timeout', true)"


async def supported(url: str) -> bool:
    """Whether the server is a Postgres 17 or newer."""
    return (await fetch(url, TRANSACTION_TIMEOUT))[0][0] is not None


async def test_a_client_that_stops_within_a_statement_keeps_its_locks_only_so_long(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not await supported(outbox_database.url):
        pytest.skip("this Postgres has no transaction_timeout")
    monkeypatch.setattr(session_limits, "POOL_TRANSACTION_SECONDS", 2)
    # Open before the transaction begins, so that what is seen of it is seen within its limit.
    observer = await asyncpg.connect(outbox_database.url)
    async with (
        faulty_postgres(outbox_database) as proxy,
        create_pool(proxy.database.url_for(OUTBOX_RELAY), application_name="test", max_size=1) as pool,
    ):
        connection = await pool.acquire()
        pid = connection.get_server_pid()

        async def ended() -> bool:
            return not await observer.fetch(SESSION, pid)

        try:
            await connection.execute(f"BEGIN; {LOCK}")
            # Sends the parse and describe messages. Then the host is gone, and nothing closes its connection.
            await connection.prepare("SELECT $1::int")
            proxy.freeze()
            assert [tuple(row) for row in await observer.fetch(SESSION, pid)] == [("active", "ClientRead")]
            with pytest.raises(asyncpg.LockNotAvailableError):
                await observer.execute(LOCK_NOW)
            await eventually(ended)
            await observer.execute(LOCK_NOW)
        finally:
            connection.terminate()
            await observer.close()


async def test_a_pool_shortens_the_transactions_of_a_role_and_keeps_what_is_shorter(
    outbox_database: TestDatabase,
) -> None:
    if not await supported(outbox_database.url):
        pytest.skip("this Postgres has no transaction_timeout")
    role = f"ALTER ROLE {OUTBOX_RELAY} IN DATABASE {outbox_database.name}"
    for configured, applied in (("0", "1min"), ("15min", "1min"), ("2s", "2s")):
        await execute(outbox_database.url, f"{role} SET transaction_timeout = '{configured}'")
        async with (
            create_pool(outbox_database.url_for(OUTBOX_RELAY), application_name="test", max_size=1) as pool,
            transaction(pool) as connection,
        ):
            assert await connection.fetchval(TRANSACTION_TIMEOUT) == applied
            assert await connection.fetchval("SHOW lock_timeout") == "5s"
            assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"


async def test_a_stream_of_the_log_has_no_limit_whatever_its_role_has(outbox_database: TestDatabase) -> None:
    if not await supported(outbox_database.url):
        pytest.skip("this Postgres has no transaction_timeout")
    limit = f"ALTER ROLE {wal_source.ROLE} IN DATABASE {outbox_database.name} SET transaction_timeout = '15min'"
    await execute(outbox_database.url, wal_source.CREATE_ROLE, limit)
    connection = await ReplicationConnection.open(parse(wal_source.reader_url(outbox_database.url)), uuid4())
    try:
        cursor = await connection._connection.execute("SHOW transaction_timeout")
        assert await cursor.fetchone() == ("0",)
    finally:
        await connection.close()


async def test_a_limit_that_the_server_does_not_know_is_skipped(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_limits, "LIMITS", {"limit_of_a_later_version": 1, "lock_timeout": 4})
    connection = await asyncpg.connect(outbox_database.url)
    try:
        await connection.execute(limit_session())
        assert await connection.fetchval("SHOW lock_timeout") == "4s"
    finally:
        await connection.close()
