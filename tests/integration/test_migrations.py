"""The tables of the code are those of the migrations, and concurrent migrations do not conflict."""

import asyncio
from collections.abc import Mapping

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from event_trio.database.connections import create_engine
from event_trio.database.migration import upgrade
from event_trio.idempotency import schema as idempotency
from event_trio.inbox.table import metadata as inbox_metadata
from event_trio.outbox.table import metadata as outbox_metadata
from services.notification.migrate import MIGRATIONS as NOTIFICATION
from services.notification.migrate import migrate as migrate_notifications
from services.notification.tables import metadata as notification_metadata
from services.order.migrate import MIGRATIONS as ORDER
from services.order.migrate import migrate as migrate_orders
from services.order.tables import metadata as order_metadata
from tests.support.databases import Migrate, database, fetch
from tests.support.servers import PostgresServer

SERVICES: Mapping[str, tuple[Migrate, str, MetaData]] = {
    "orders": (migrate_orders, ORDER, order_metadata),
    "notifications": (migrate_notifications, NOTIFICATION, notification_metadata),
}

each = pytest.mark.parametrize("name", SERVICES)


@each
async def test_the_tables_are_what_the_migrations_make(postgres: PostgresServer, name: str) -> None:
    migrate, _, own = SERVICES[name]
    expected = MetaData()
    for catalogue in (own, outbox_metadata, inbox_metadata):
        for table in catalogue.tables.values():
            table.to_metadata(expected)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _is_modelled})
        return [*compare_metadata(context, expected)]

    async with database(postgres.admin_url, purpose=name) as made:
        await migrate(made.url)
        engine = create_engine(made.url, application_name="test")
        try:
            async with engine.connect() as connection:
                assert await connection.run_sync(differences) == []
        finally:
            await engine.dispose()


@each
async def test_two_that_start_at_once_migrate_once(postgres: PostgresServer, name: str) -> None:
    migrate, package, _ = SERVICES[name]
    async with database(postgres.admin_url, purpose=name) as made:
        await asyncio.gather(*(migrate(made.url) for _ in range(3)))
        before = await fetch(made.url, "SELECT version_num FROM alembic_version")
        await upgrade(made.url, package)
        assert await fetch(made.url, "SELECT version_num FROM alembic_version") == before
        assert len(before) == 1


def _is_modelled(_: object, name: str | None, kind: str, reflected: bool, match: object) -> bool:
    """Indexes are defined by migrations only; the relay's tables and the idempotency keys have no model."""
    unmodelled = (name or "").startswith("outbox_") or name == idempotency.TABLE
    only_statements = kind == "table" and reflected and match is None and unmodelled
    return kind not in {"index", "unique_constraint"} and not only_statements
