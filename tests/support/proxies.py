"""A TCP proxy of a database, whose forwarding the caller defines."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import TestDatabase
from tools.embedded.ports import LOOPBACK

CHUNK = 65_536
Direction: TypeAlias = Coroutine[object, object, None]
Forward: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamWriter],
    tuple[Direction, Direction],
]
"""Creates the two directions from the reader and writer of the client and those of the server."""


@asynccontextmanager
async def proxied(database: TestDatabase, forward: Forward) -> AsyncIterator[TestDatabase]:
    """The database behind the proxy; a connection ends when one of its directions ends."""
    behind = urlsplit(database.url)
    connections: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(behind.hostname, behind.port)
        except OSError:  # the server is down, and its clients see that
            to_client.transport.abort()
            return
        directions = {asyncio.create_task(direction) for direction in forward(client, to_client, server, to_server)}
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
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
