"""A proxy before Postgres that counts how often a client waited for an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import TestDatabase
from tools.embedded.ports import LOOPBACK

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
    behind = urlsplit(database.url)
    connections: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(behind.hostname, behind.port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counts: bool) -> None:
            while part := await source.read(65536):
                counted.round_trips += part.count(READY) if counts else 0
                target.write(part)

        ways = [
            asyncio.create_task(pass_on(client, to_server, counts=False)),
            asyncio.create_task(pass_on(server, to_client, counts=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_client.close()
            to_server.close()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(serve(client, to_client))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    listener = await asyncio.start_server(accept, LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    address = f"{behind.netloc.rpartition('@')[0]}@{LOOPBACK}:{port}"
    counted = CountedDatabase(TestDatabase(database.name, urlunsplit(behind._replace(netloc=address))))
    try:
        yield counted
    finally:
        listener.close()
        for connection in list(connections):
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
