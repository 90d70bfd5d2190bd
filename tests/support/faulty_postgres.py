"""A TCP proxy before Postgres that loses the answer to a COMMIT, or turns connections into black holes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.databases import TestDatabase
from tests.support.proxies import CHUNK, Way, proxied


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
    proxy = FaultyPostgres(database)

    def carry(
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> tuple[Way, Way]:
        passing, committing = proxy.connected(), asyncio.Event()

        async def forth() -> None:
            while sent := await client.read(CHUNK):
                await passing.wait()
                if proxy.takes_commit(sent):
                    committing.set()
                to_server.write(sent)

        async def back() -> None:
            while answered := await server.read(CHUNK):
                await passing.wait()
                if committing.is_set():
                    to_client.transport.abort()
                    return
                to_client.write(answered)

        return forth(), back()

    async with proxied(database, carry) as proxy.database:
        yield proxy
