"""Reads a database again and again over one connection: a new one for each look costs more than the look."""

from __future__ import annotations

import asyncio

import asyncpg


class Reader:
    """A connection straight to a database, past the proxies. A run may end it, and then another is made."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a query, which changes nothing and is therefore repeated once."""
        async with self._turn:
            if self._connection is not None and not self._connection.is_closed():
                try:
                    return list(await self._connection.fetch(query, *values))
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    self._connection.terminate()
            self._connection = await asyncpg.connect(self._url)
            return list(await self._connection.fetch(query, *values))

    async def close(self) -> None:
        """Close the connection; the next query makes another."""
        async with self._turn:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
