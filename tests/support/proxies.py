"""A TCP proxy before a database, on a port of its own; each connection is served as the caller says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import TestDatabase
from tools.embedded.ports import LOOPBACK

CHUNK = 65_536
Way: TypeAlias = Coroutine[object, object, None]
Ways: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamWriter], tuple[Way, Way]
]
"""From a client's reader and writer and the server's: what carries forth, and what carries back."""


@asynccontextmanager
async def proxied(database: TestDatabase, carry: Ways) -> AsyncIterator[TestDatabase]:
    """The same database by way of the proxy; a connection ends when either of its two ways does."""
    behind = urlsplit(database.url)
    connections: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(behind.hostname, behind.port)
        ways = {asyncio.create_task(way) for way in carry(client, to_client, server, to_server)}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (to_client, to_server):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(serve(client, to_client))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    listener = await asyncio.start_server(accept, LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    address = f"{behind.netloc.rpartition('@')[0]}@{LOOPBACK}:{port}"
    try:
        yield TestDatabase(database.name, urlunsplit(behind._replace(netloc=address)))
    finally:
        listener.close()
        for connection in list(connections):
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
