"""Installs the outbox's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..database.table_sets import Grants, TableSet, Version, quoted
from . import schema

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from ..database.table_sets import AsyncpgConnection

TABLES = TableSet(
    "outbox",
    (
        Version.with_relation(schema.STATEMENTS_V1, "outbox_event"),
        Version.with_relation(schema.STATEMENTS_V2, "outbox_idempotency_key"),
        Version.with_relation(schema.STATEMENTS_V3, "outbox_hold"),
        Version.with_column(schema.STATEMENTS_V4, "outbox_event", "held_behind"),
        Version.with_parameter(schema.STATEMENTS_V5, "outbox_event", "autovacuum_analyze_scale_factor=0.05"),
    ),
)


async def install_tables(
    connection: AsyncpgConnection | AsyncConnection | AsyncSession,
    *,
    writer: str | None = None,
    relay: str | None = None,
    version: int | None = None,
) -> int:
    """Install the outbox's tables, or upgrade those of an older version; returns the version that they have.

    It may be called any number of times, by a role that may create tables. `writer` and `relay` are roles that exist;
    they get the rights that a publisher and a relay need, and no more. Give both or neither. `version` is for a
    migration that must do the same whatever release of the library runs it. An SQLAlchemy connection is not committed.

    Raises ConfigurationError when the tables were made by a newer release of the library.
    """
    return await TABLES.install(connection, grants(writer, relay), version=version)


def grants(writer: str | None, relay: str | None) -> Grants:
    """The rights of a publisher's role and of a relay's, by version."""
    if writer is None and relay is None:
        return ()
    if writer is None or relay is None:
        raise ValueError("give both roles, writer and relay, or neither")
    writer, relay = quoted(writer), quoted(relay)
    return (
        schema.grants(writer=writer, relay=relay),
        schema.grants_v2(relay=relay),
        schema.grants_v3(writer=writer, relay=relay),
        schema.grants_v4(relay=relay),
    )
