"""A proxy before Postgres that counts how often a client waits for an answer."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tools.embedded.ports import LOOPBACK

READY = b"Z\x00\x00\x00\x05"
"""ReadyForQuery: the server has answered everything, and waits."""
CHUNK = 65_536


APPLICATION = re.compile(rb"application_name\x00([^\x00]+)")


@dataclass
class CountedServer:
    """A way to a server on which answers are counted, by the application name that each connection gives."""

    port: int = 0
    round_trips: Counter[str] = field(default_factory=Counter)

    def url(self, direct: str) -> str:
        """The URL of the same database, through the proxy."""
        parts = urlsplit(direct)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}{LOOPBACK}:{self.port}"))


@asynccontextmanager
async def counted_round_trips(server_port: int) -> AsyncIterator[CountedServer]:
    """Listen on a free port and pass everything on."""
    counted, tasks = CountedServer(), set[asyncio.Task[None]]()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, see: Callable[[bytes], None]) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await source.read(CHUNK):
                see(part)
                target.write(part)
                await target.drain()
        target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(LOOPBACK, server_port)
        connection = _CountedConnection(counted.round_trips)
        ways = (pass_on(reader, to_server, connection.asked), pass_on(from_server, writer, connection.answered))
        for way in ways:
            task = asyncio.create_task(way)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    counted.port = server.sockets[0].getsockname()[1]
    try:
        yield counted
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()


class _CountedConnection:
    """What is seen of one connection."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._name: str | None = None
        self._tail = b""

    def asked(self, part: bytes) -> None:
        """The client sent something; at first, who it is."""
        if self._name is None and (found := APPLICATION.search(part)):
            self._name = found[1].decode(errors="replace")

    def answered(self, part: bytes) -> None:
        """The server sent something."""
        seen = self._tail + part
        self._counts[self._name or "unknown"] += seen.count(READY)
        self._tail = seen[-(len(READY) - 1) :]
