"""A TCP proxy of Postgres that loses the answer to a commit, stops forwarding, or cuts dead connections late."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.databases import TestDatabase
from tests.support.proxies import CHUNK, Direction, proxied


@dataclass
class FaultyPostgres:
    """The proxy, to which `database` connects."""

    database: TestDatabase
    commits_to_lose: int = 0
    """The number of next commits that are applied, but whose answer is lost with the connection."""
    committed_by: bytes = b"COMMIT;"
    """A pattern in a message that commits (BEGIN contains READ COMMITTED): of a statement without a transaction, one
    of its values."""
    cuts: int = 0
    """The number of next messages on which a connection is cut, as a host does that has forgotten it."""
    _passing: set[asyncio.Event] = field(default_factory=set)

    def freeze(self) -> None:
        """Stop forwarding on all open connections without closing them; new connections work."""
        for passing in self._passing:
            passing.clear()

    def connected(self) -> asyncio.Event:
        """Register a connection; data is forwarded while the event is set."""
        passing = asyncio.Event()
        passing.set()
        self._passing.add(passing)
        return passing

    def takes_cut(self) -> bool:
        """Whether the connection is cut instead of forwarding this message."""
        if self.cuts == 0:
            return False
        self.cuts -= 1
        return True

    def takes_commit(self, sent: bytes) -> bool:
        """Whether this is a COMMIT whose answer is to be lost."""
        if self.commits_to_lose == 0 or not re.search(self.committed_by, sent):
            return False
        self.commits_to_lose -= 1
        return True


@asynccontextmanager
async def faulty_postgres(database: TestDatabase) -> AsyncIterator[FaultyPostgres]:
    """A proxy of this database."""
    proxy = FaultyPostgres(database)

    def carry(
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> tuple[Direction, Direction]:
        passing, committing = proxy.connected(), asyncio.Event()

        async def forth() -> None:
            while sent := await client.read(CHUNK):
                await passing.wait()
                if proxy.takes_cut():
                    to_client.transport.abort()
                    return
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
