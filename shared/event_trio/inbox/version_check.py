"""Compares the version of the inbox's tables with that which this release of the library needs."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import ConfigurationError
from .install import TABLES


async def ensure_current(connection: AsyncConnection) -> None:
    """Raise ConfigurationError if the tables have an older version.

    The version is read from the catalog, which every role may read. Missing tables are no error: a program may be
    started before its migrations end.
    """
    conditions = ", ".join(version.found for version in TABLES.versions)
    found = (await connection.execute(text(f"SELECT {conditions}"))).one()
    version = max((number for number, is_found in enumerate(found, 1) if is_found), default=0)
    if 0 < version < len(TABLES.versions):
        raise ConfigurationError(
            f"the tables of the inbox have version {version}, and this release of event-trio needs version "
            f"{len(TABLES.versions)}: run `event_trio.inbox.install_tables`, or the migrations of the service"
        )
