"""A proxy before Postgres that counts what a client executes, and how often it waits for an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tools.embedded.ports import LOOPBACK

READY = b"Z\x00\x00\x00\x05"
"""ReadyForQuery: the server has answered everything, and waits."""
CHUNK = 65_536
QUERY, EXECUTE = b"Q", b"E"
CONTROL = (b"BEGIN", b"COMMIT", b"ROLLBACK")
ENCRYPTION_REQUESTS = frozenset({80_877_103, 80_877_104})
"""The codes of SSLRequest and GSSENCRequest, which come before the first message."""


@dataclass
class CountedServer:
    """A way to a server on which is counted, by the application name that each connection gives."""

    port: int = 0
    round_trips: Counter[str] = field(default_factory=Counter)
    statements: Counter[str] = field(default_factory=Counter)
    """Without those that begin and end transactions."""

    def url(self, direct: str) -> str:
        """The URL of the same database, through the proxy."""
        parts = urlsplit(direct)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}{LOOPBACK}:{self.port}"))

    def clear(self) -> None:
        """Count from 0."""
        self.round_trips.clear()
        self.statements.clear()


@asynccontextmanager
async def counted_server(server_port: int) -> AsyncIterator[CountedServer]:
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
        connection = CountedConnection(counted)
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


class CountedConnection:
    """Reads the messages of one connection, without changing them."""

    def __init__(self, counted: CountedServer) -> None:
        self._counted = counted
        self._name: str | None = None
        self._asked = bytearray()
        self._tail = b""

    def asked(self, part: bytes) -> None:
        """The client sent something."""
        self._asked += part
        while (length := self._length()) is not None and len(self._asked) >= length:
            message = bytes(self._asked[:length])
            del self._asked[:length]
            self._see(message)

    def answered(self, part: bytes) -> None:
        """The server sent something."""
        seen = self._tail + part
        self._counted.round_trips[self._name or "unknown"] += seen.count(READY)
        self._tail = seen[-(len(READY) - 1) :]

    def _length(self) -> int | None:
        """The length of the message that begins; None until it is known. The first has no letter before it."""
        begin = 0 if self._name is None else 1
        if len(self._asked) < begin + 4:
            return None
        return begin + int.from_bytes(self._asked[begin : begin + 4], "big")

    def _see(self, message: bytes) -> None:
        if self._name is None:
            if int.from_bytes(message[4:8], "big") not in ENCRYPTION_REQUESTS:
                self._name = _application_name(message[8:])
        elif message[:1] == EXECUTE or (message[:1] == QUERY and not message[5:].upper().startswith(CONTROL)):
            self._counted.statements[self._name] += 1


def _application_name(startup: bytes) -> str:
    """The parameter of the startup message, whose names and values end with zeros."""
    parts = startup.split(b"\x00")
    given = dict(zip(parts[::2], parts[1::2], strict=False))
    return given.get(b"application_name", b"unknown").decode(errors="replace")
