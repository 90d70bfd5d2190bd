"""Installs the table of answers that are kept under idempotency keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..database.table_sets import Grants, TableSet, Version, quoted
from .schema import TABLE, statements
from .schema import grants as grants_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from ..database.table_sets import AsyncpgConnection

TABLES = TableSet("idempotency", (Version.with_relation(statements(TABLE), TABLE),))


async def install_tables(
    connection: AsyncpgConnection | AsyncConnection | AsyncSession,
    *,
    role: str | None = None,
    version: int | None = None,
) -> int:
    """Install the table `idempotency_key`; returns the version that it has. It may be called any number of times.

    `role` is a role that exists and gets the rights that a service needs. An SQLAlchemy connection is not committed.
    """
    return await TABLES.install(connection, grants(role), version=version)


def grants(role: str | None) -> Grants:
    """The rights of a service's role, by version."""
    return () if role is None else (grants_of(TABLE, quoted(role)),)
