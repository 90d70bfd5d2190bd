"""An HTTP server that answers every request as the test says, byte by byte, and keeps what it was asked."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from ssl import SSLContext
from typing import TypeAlias

from tools.embedded.ports import LOOPBACK

Behaviour: TypeAlias = Callable[["Request", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request over the connection on which it came."""


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


@dataclass
class ScriptedServer:
    """`url` leads to it. `behave` may be changed at any time."""

    url: str
    behave: Behaviour
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    """How many connections were accepted."""


@asynccontextmanager
async def scripted_server(behave: Behaviour, *, tls: SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """A server on a port of its own."""
    open_connections: set[asyncio.Task[object] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(asyncio.current_task())
        server.connections += 1
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                server.requests.append(request)
                await server.behave(request, reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            open_connections.discard(asyncio.current_task())

    listener = await asyncio.start_server(serve, LOOPBACK, 0, ssl=tls, limit=2**22)
    port = listener.sockets[0].getsockname()[1]
    server = ScriptedServer(f"{'https' if tls else 'http'}://{LOOPBACK}:{port}", behave)
    try:
        yield server
    finally:
        listener.close()
        for connection in list(open_connections):
            if connection is not None:
                connection.cancel()
                await asyncio.wait([connection])


async def read_request(reader: asyncio.StreamReader) -> Request:
    """The next request of a connection."""
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines if each)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def answering(answer: bytes) -> Behaviour:
    """Always the same bytes."""

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return behave


def closing_after(answer: bytes) -> Behaviour:
    """These bytes, and then the end of the connection."""

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return behave


def resetting_after(answer: bytes) -> Behaviour:
    """These bytes, and then a reset of the connection."""

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await asyncio.sleep(0.05)  # a reset discards what the client has not read
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


def silent_after(answer: bytes) -> Behaviour:
    """These bytes, and then nothing until the client closes the connection."""

    async def behave(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return behave


def http_answer(status: str, body: str | bytes, *headers: str) -> bytes:
    """An answer whose length is given."""
    content = body.encode() if isinstance(body, str) else body
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(content)}", "", ""])
    return head.encode() + content
