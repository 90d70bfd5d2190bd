"""A proxy before Postgres that counts how often a client waited for an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.databases import TestDatabase
from tests.support.proxies import CHUNK, Direction, proxied

READY = b"Z\x00\x00\x00\x05"
"""ReadyForQuery: the server has answered all, and waits."""


@dataclass
class CountedDatabase:
    """`database` leads through the proxy."""

    database: TestDatabase
    round_trips: int = 0


@asynccontextmanager
async def counted_round_trips(database: TestDatabase) -> AsyncIterator[CountedDatabase]:
    """A proxy before this database."""
    counted = CountedDatabase(database)

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counts: bool) -> None:
        while part := await source.read(CHUNK):
            counted.round_trips += part.count(READY) if counts else 0
            target.write(part)

    def carry(
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> tuple[Direction, Direction]:
        return pass_on(client, to_server, counts=False), pass_on(server, to_client, counts=True)

    async with proxied(database, carry) as counted.database:
        yield counted
