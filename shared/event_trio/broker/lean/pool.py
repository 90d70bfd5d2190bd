"""A pool of keep-alive connections to one server, as large as the number of calls in flight, up to a limit."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ssl import SSLContext

from .connection import HttpConnection, RawAnswer

HAPPY_EYEBALLS_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Destination:
    """The address of a server. Without `tls`, connections are in plain text."""

    host: str
    port: int
    tls: SSLContext | None = None


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """The largest number of connections, and timeouts in seconds; None is no timeout."""

    connections: int
    connect_seconds: float | None
    read_seconds: float | None
    keepalive_seconds: float


class CannotConnect(Exception):
    """The connection could not be opened. `reason` is a TimeoutError or an OSError (ssl.SSLError is one)."""

    def __init__(self, reason: OSError | TimeoutError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Pool:
    """Connections to one server. The most recently used is taken first, so that the others expire."""

    def __init__(self, server: Destination, options: PoolOptions) -> None:
        self._server = server
        self._options = options
        self._slots = asyncio.Semaphore(options.connections)
        self._idle: list[HttpConnection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def exchange(self, data: bytes) -> RawAnswer:
        """Send a request and return the answer. Waits while all connections are in use.

        Raises what `Connection.request` raises, and CannotConnect.
        """
        async with self._slots:
            connection = self._take()
            if connection is None:
                try:
                    connection = await self._connect()
                except (OSError, TimeoutError) as error:
                    raise CannotConnect(error) from error
            try:
                return await connection.request(data)
            finally:
                self._put(connection)

    def close(self) -> None:
        """Close idle connections at once, and the others when their requests end."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> HttpConnection | None:
        oldest = asyncio.get_running_loop().time() - self._options.keepalive_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _put(self, connection: HttpConnection) -> None:
        if self._closed or not connection.is_usable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._options.keepalive_seconds, self._close_expired, loop)

    def _close_expired(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest = loop.time() - self._options.keepalive_seconds
        for connection in self._idle:
            if connection.idle_since <= oldest:
                connection.close()
        self._idle = [each for each in self._idle if each.idle_since > oldest]
        self._sweep = None
        if self._idle:
            self._sweep = loop.call_later(self._idle[0].idle_since - oldest, self._close_expired, loop)

    async def _connect(self) -> HttpConnection:
        # aiohttp connects with the same package. Not every event loop has Happy Eyeballs; uvloop has not.
        from aiohappyeyeballs import start_connection

        loop = asyncio.get_running_loop()
        server, options = self._server, self._options
        async with asyncio.timeout(options.connect_seconds):
            addresses = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            connected = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)
            try:
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(options.read_seconds),
                    sock=connected,
                    ssl=server.tls,
                    server_hostname=server.host if server.tls else None,
                )
            except BaseException:
                connected.close()
                raise
        return connection
