"""Installs the inbox's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..database.table_sets import Grants, TableSet, Version, quoted
from . import schema

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from ..database.table_sets import AsyncpgConnection

BLOCKED = """
EXISTS (
    SELECT FROM pg_constraint
    WHERE conname = 'deferred_message_status_check' AND conrelid = to_regclass('deferred_message')
          AND strpos(pg_get_constraintdef(oid), 'blocked') > 0
)
"""

TABLES = TableSet(
    "inbox",
    (
        Version.with_relation(schema.STATEMENTS_V1, "processed_message"),
        Version.with_relation(schema.STATEMENTS_V2, "operator_action"),
        Version.with_relation(schema.STATEMENTS_V3, "processed_message_latest"),
        Version(schema.STATEMENTS_V4, BLOCKED),
        Version.with_relation(schema.STATEMENTS_V5, "redrive"),
        Version.with_parameter(schema.STATEMENTS_V6, "processed_message", "autovacuum_analyze_scale_factor=0.05"),
    ),
)


async def install_tables(
    connection: AsyncpgConnection | AsyncConnection | AsyncSession,
    *,
    role: str | None = None,
    version: int | None = None,
) -> int:
    """Install the inbox's tables, or upgrade those of an older version; returns the version that they have.

    It may be called any number of times, by a role that may create tables. `role` is a role that exists; it gets the
    rights that a consumer needs, and no more. `version` is for a migration that must do the same whatever release of
    the library runs it. An SQLAlchemy connection is not committed.

    Raises ConfigurationError when the tables were made by a newer release of the library.
    """
    return await TABLES.install(connection, grants(role), version=version)


def grants(role: str | None) -> Grants:
    """The rights of a consumer's role, by version."""
    if role is None:
        return ()
    role = quoted(role)
    return (schema.grants(role), schema.grants_v2(role), schema.grants_v3(role), (), schema.grants_v5(role))
