"""Connections find out whether a pooler stands between them and the server."""

from pathlib import Path

import pytest

from event_trio.database.connections import create_pool, single_statement, transaction
from event_trio.database.direct import keeps_session
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import query
from tests.support.poolers import installed, pooled

ISOLATION = "SELECT current_setting('transaction_isolation')"
PREPARED = "SELECT count(*) FROM pg_prepared_statements"


async def test_a_direct_connection_keeps_statements_prepared_and_runs_one_without_a_block(
    outbox_database: TestDatabase,
) -> None:
    async with create_pool(outbox_database.url_for(OUTBOX_RELAY), application_name="test", max_size=1) as pool:
        for _ in range(3):
            async with single_statement(pool) as connection:
                assert keeps_session(connection)
                assert not connection.is_in_transaction()
                assert await connection.fetchval(ISOLATION) == "read committed"
        async with transaction(pool) as connection:
            assert await connection.fetchval(PREPARED) == 2


async def test_a_single_statement_is_read_committed_whatever_the_role_has(outbox_database: TestDatabase) -> None:
    role = f"ALTER DATABASE {outbox_database.name} SET default_transaction_isolation = 'repeatable read'"
    await query(outbox_database.url, role)
    async with (
        create_pool(outbox_database.url, application_name="test", max_size=1) as pool,
        single_statement(pool) as connection,
    ):
        assert await connection.fetchval(ISOLATION) == "read committed"


@pytest.mark.skipif(not installed(), reason="pgbouncer is not installed (Debian: apt install pgbouncer)")
async def test_behind_a_pooler_no_statement_is_kept(outbox_database: TestDatabase, tmp_path: Path) -> None:
    async with (
        pooled(outbox_database.url_for(OUTBOX_RELAY), tmp_path) as through,
        create_pool(through, application_name="test", max_size=2) as pool,
    ):
        for _ in range(3):
            async with single_statement(pool) as connection:
                assert not keeps_session(connection)
                assert connection.is_in_transaction()
                assert await connection.fetchval(PREPARED) == 0
