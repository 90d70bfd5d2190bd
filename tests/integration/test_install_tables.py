"""The library's tables are installed on any connection, any number of times, and from any version."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession

import event_trio.migrations
from event_trio import idempotency, inbox, outbox
from event_trio.database.connections import create_engine
from event_trio.database.table_sets import TableSet
from event_trio.errors import ConfigurationError
from event_trio.idempotency.install import TABLES as IDEMPOTENCY
from event_trio.inbox import schema as inbox_schema
from event_trio.inbox.install import TABLES as INBOX
from event_trio.outbox import schema as outbox_schema
from event_trio.outbox.install import TABLES as OUTBOX
from tests.support.databases import TestDatabase, create_template, database, execute, fetch, migrate_outbox
from tests.support.servers import PostgresServer

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
VERSIONS = "SELECT component, version FROM event_trio_version ORDER BY 1"
ALL = (OUTBOX, INBOX, IDEMPOTENCY)


@pytest.fixture
async def empty(postgres: PostgresServer) -> AsyncIterator[TestDatabase]:
    async with database(postgres.admin_url) as made:
        yield made


async def shape(at: TestDatabase) -> list[tuple[object, ...]]:
    """The tables and indexes of a database, without the record of versions."""
    found = [*await fetch(at.url, COLUMNS), *await fetch(at.url, INDEXES)]
    return [tuple(row) for row in found if not row[0].startswith("event_trio_version")]


async def test_they_are_installed_twice_on_an_asyncpg_connection(empty: TestDatabase) -> None:
    connection = await asyncpg.connect(empty.url)
    try:
        for _ in range(2):
            assert await outbox.install_tables(connection) == len(OUTBOX.versions)
            assert await inbox.install_tables(connection) == len(INBOX.versions)
            assert await idempotency.install_tables(connection) == len(IDEMPOTENCY.versions)
    finally:
        await connection.close()
    expected = sorted((tables.component, len(tables.versions)) for tables in ALL)
    assert [tuple(row) for row in await fetch(empty.url, VERSIONS)] == expected
    await execute(empty.url, "INSERT INTO outbox_control DEFAULT VALUES ON CONFLICT DO NOTHING")


async def test_they_are_the_same_as_by_the_migrations(empty: TestDatabase, postgres: PostgresServer) -> None:
    engine = create_engine(empty.url, application_name="test")
    async with engine.begin() as connection:
        await outbox.install_tables(connection)
    await engine.dispose()
    template = await create_template(postgres.admin_url, "outbox_installed", migrate_outbox)
    async with database(postgres.admin_url, template=template) as migrated:
        assert await shape(empty) == await shape(migrated)
        before = await shape(migrated)
        connection = await asyncpg.connect(migrated.url)
        await outbox.install_tables(connection)
        await connection.close()
        assert await shape(migrated) == before
    await execute(postgres.admin_url, f'DROP DATABASE "{template}"')


async def test_an_older_version_is_upgraded(empty: TestDatabase) -> None:
    await execute(empty.url, *outbox_schema.STATEMENTS_V1)
    engine = create_engine(empty.url, application_name="test")
    async with AsyncSession(engine) as session, session.begin():
        assert await outbox.install_tables(session, version=2) == 2
    async with AsyncSession(engine) as session, session.begin():
        assert await outbox.install_tables(session) == len(OUTBOX.versions)
    await engine.dispose()


async def test_what_is_not_committed_is_not_installed(empty: TestDatabase) -> None:
    engine = create_engine(empty.url, application_name="test")
    async with engine.connect() as connection:
        await inbox.install_tables(connection)
    await engine.dispose()
    assert await shape(empty) == []


async def test_two_processes_may_install_at_once(empty: TestDatabase) -> None:
    connections = [await asyncpg.connect(empty.url) for _ in range(3)]
    found = await asyncio.gather(*(outbox.install_tables(connection) for connection in connections))
    assert found == [len(OUTBOX.versions)] * 3
    for connection in connections:
        await connection.close()


async def test_tables_of_a_newer_release_are_left_alone(empty: TestDatabase) -> None:
    connection = await asyncpg.connect(empty.url)
    await outbox.install_tables(connection)
    await connection.execute("UPDATE event_trio_version SET version = 99")
    with pytest.raises(ConfigurationError, match="have version 99"):
        await outbox.install_tables(connection)
    await connection.close()


async def test_roles_get_what_they_need(empty: TestDatabase) -> None:
    await execute(empty.url, "DROP ROLE IF EXISTS install_writer", "DROP ROLE IF EXISTS install_relay")
    await execute(empty.url, "CREATE ROLE install_writer", "CREATE ROLE install_relay")
    connection = await asyncpg.connect(empty.url)
    await outbox.install_tables(connection, writer="install_writer", relay="install_relay")
    await inbox.install_tables(connection, role="install_writer")
    assert await connection.fetchval("SELECT has_table_privilege('install_writer', 'outbox_event', 'INSERT')")
    assert not await connection.fetchval("SELECT has_table_privilege('install_writer', 'outbox_event', 'UPDATE')")
    assert await connection.fetchval("SELECT has_table_privilege('install_relay', 'outbox_lane', 'UPDATE')")
    with pytest.raises(ValueError, match="both roles"):
        await outbox.install_tables(connection, writer="install_writer")
    for role in ("install_writer", "install_relay"):
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")
    await connection.close()


async def test_every_version_can_be_installed_with_its_rights(postgres: PostgresServer) -> None:
    role = "Install-role"
    await execute(postgres.admin_url, f'DROP ROLE IF EXISTS "{role}"', f'CREATE ROLE "{role}"')
    for version in range(1, len(OUTBOX.versions) + 1):
        async with database(postgres.admin_url) as empty:
            connection = await asyncpg.connect(empty.url)
            assert await outbox.install_tables(connection, writer=role, relay=role, version=version) == version
            assert await inbox.install_tables(connection, role=role, version=version) == version
            assert await connection.fetchval(f"SELECT has_table_privilege('{role}', 'outbox_lane', 'UPDATE')")
            assert await inbox.install_tables(connection, role=role) == len(INBOX.versions)
            assert await connection.fetchval(f"SELECT has_table_privilege('{role}', 'operator_action', 'INSERT')")
            await connection.close()
    await execute(postgres.admin_url, f'DROP ROLE "{role}"')


async def test_alembic_has_them_as_operations(empty: TestDatabase) -> None:
    def migrate(connection: Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        for name in ("install_outbox_tables", "install_inbox_tables", "install_idempotency_tables"):
            getattr(operations, name)()
        assert event_trio.migrations.install_outbox_tables(connection) == len(OUTBOX.versions)
        assert event_trio.migrations.install_inbox_tables(connection) == len(INBOX.versions)
        assert event_trio.migrations.install_idempotency_tables(connection) == len(IDEMPOTENCY.versions)

    engine = create_engine(empty.url, application_name="test")
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
        assert (await connection.execute(text("SELECT count(*) FROM event_trio_version"))).scalar_one() == len(ALL)
    await engine.dispose()


@pytest.mark.parametrize(("tables", "schema"), [(OUTBOX, outbox_schema), (INBOX, inbox_schema)])
def test_every_version_of_the_schema_is_installed(tables: TableSet, schema: object) -> None:
    declared = [value for name, value in sorted(vars(schema).items()) if name.startswith("STATEMENTS_V")]
    assert [version.statements for version in tables.versions] == declared


def test_a_version_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no version 9"):
        next(OUTBOX.steps(version=9))
