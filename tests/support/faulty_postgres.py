"""A TCP proxy before Postgres that loses the answer to a COMMIT, or turns connections into black holes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.support.databases import TestDatabase
from tools.embedded.ports import LOOPBACK


@dataclass
class FaultyPostgres:
    """`database` leads through it."""

    database: TestDatabase
    commits_to_lose: int = 0
    """So many of the next commits happen, and their clients are cut off before they hear of it."""
    _passing: set[asyncio.Event] = field(default_factory=set)

    def freeze(self) -> None:
        """On every connection that is open now nothing passes any more, and nobody is told; new ones are well."""
        for passing in self._passing:
            passing.clear()

    def connected(self) -> asyncio.Event:
        """A new connection: what it sends passes while the event is set."""
        passing = asyncio.Event()
        passing.set()
        self._passing.add(passing)
        return passing

    def takes_commit(self, sent: bytes) -> bool:
        """Whether this is the COMMIT of which the client shall not hear."""
        if self.commits_to_lose == 0 or b"COMMIT" not in sent:
            return False
        self.commits_to_lose -= 1
        return True


@asynccontextmanager
async def faulty_postgres(database: TestDatabase) -> AsyncIterator[FaultyPostgres]:
    """A proxy before this database, on a port of its own."""
    behind = urlsplit(database.url)
    connections: set[asyncio.Task[object]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(behind.hostname, behind.port)
        passing, committing = proxy.connected(), asyncio.Event()

        async def forth() -> None:
            while sent := await client.read(65536):
                await passing.wait()
                if proxy.takes_commit(sent):
                    committing.set()
                to_server.write(sent)

        async def back() -> None:
            while answered := await server.read(65536):
                await passing.wait()
                if committing.is_set():
                    to_client.transport.abort()
                    return
                to_client.write(answered)

        ways = {asyncio.create_task(forth()), asyncio.create_task(back())}
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
    credentials = behind.netloc.rpartition("@")[0]
    address = f"{credentials}@{LOOPBACK}:{port}"
    proxy = FaultyPostgres(TestDatabase(database.name, urlunsplit(behind._replace(netloc=address))))
    try:
        yield proxy
    finally:
        listener.close()
        for connection in list(connections):
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
