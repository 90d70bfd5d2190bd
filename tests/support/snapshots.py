"""Copies a database while nobody uses it, and restores the copy under the same name: as a backup does."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import TestDatabase, execute


@dataclass(frozen=True)
class Snapshot:
    """The copy of a database."""

    database: TestDatabase
    name: str

    @property
    def _admin_url(self) -> str:
        return urlunsplit(urlsplit(self.database.url)._replace(path="/postgres"))

    async def take(self) -> None:
        """Copy the database; whoever is connected is disconnected."""
        await execute(
            self._admin_url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database.name}'",
        )
        await self._copy(self.database.name, self.name)

    async def restore(self) -> None:
        """Replace the database by the copy."""
        await execute(self._admin_url, f'DROP DATABASE "{self.database.name}" WITH (FORCE)')
        await self._copy(self.name, self.database.name)

    async def drop(self) -> None:
        """Delete the copy."""
        await execute(self._admin_url, f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    async def _copy(self, source: str, target: str) -> None:
        await execute(self._admin_url, f'CREATE DATABASE "{target}" TEMPLATE "{source}"')


@asynccontextmanager
async def snapshot(database: TestDatabase) -> AsyncIterator[Snapshot]:
    """A copy of the database as it is now."""
    made = Snapshot(database, f"copy_{secrets.token_hex(6)}")
    try:
        await made.take()
        yield made
    finally:
        await made.drop()
