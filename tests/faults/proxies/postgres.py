"""A TCP proxy of Postgres that freezes, closes, loses answers, and sees statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.databases import TestDatabase
from tests.support.proxies import CHUNK, Direction, proxied


@dataclass
class PostgresProxy:
    """The proxy, to which `database` connects."""

    database: TestDatabase
    lost: int = 0
    """How many answers were lost."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _frozen: set[asyncio.StreamWriter] = field(default_factory=set)
    _watched: tuple[bytes, Callable[[], None]] | None = None
    _losing: tuple[bytes, Callable[[], bool]] | None = None

    def freeze(self) -> None:
        """Forward nothing any more, without closing: a network that is gone."""
        self._open.clear()

    def thaw(self) -> None:
        """Forward again."""
        self._open.set()

    def freeze_connections(self) -> None:
        """Forward nothing more on the connections that are open; new ones work: half-open connections."""
        self._frozen |= self._writers

    def close_connections(self) -> None:
        """Reset all open connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def watch(self, statement: bytes, react: Callable[[], None]) -> None:
        """Call `react` once, before a statement with this text is forwarded."""
        self._watched = (statement, react)

    def lose_answers(self, statement: bytes, when: Callable[[], bool]) -> None:
        """Forward statements with this text, and lose the answer and the connection each time `when` is true."""
        self._losing = (statement, when)

    def clear(self) -> None:
        """Forward everything."""
        self._watched = self._losing = None
        self.thaw()

    def forward(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> tuple[Direction, Direction]:
        """The two directions of a connection."""
        doomed = asyncio.Event()
        self._writers.add(to_client)

        async def forth() -> None:
            while sent := await client.read(CHUNK):
                await self._open.wait()
                if to_client in self._frozen:
                    continue
                if self._watched is not None and self._watched[0] in sent:
                    react = self._watched[1]
                    self._watched = None
                    react()
                if self._losing is not None and self._losing[0] in sent and self._losing[1]():
                    self.lost += 1
                    doomed.set()
                to_server.write(sent)

        async def back() -> None:
            try:
                while answered := await server.read(CHUNK):
                    await self._open.wait()
                    if to_client in self._frozen:
                        continue
                    if doomed.is_set():
                        to_client.transport.abort()
                        return
                    to_client.write(answered)
            finally:
                self._writers.discard(to_client)
                self._frozen.discard(to_client)

        return forth(), back()


@asynccontextmanager
async def postgres_proxy(database: TestDatabase) -> AsyncIterator[PostgresProxy]:
    """A proxy of this database."""
    proxy = PostgresProxy(database)
    proxy.thaw()
    async with proxied(database, proxy.forward) as proxy.database:
        yield proxy
