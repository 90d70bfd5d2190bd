"""An HTTP proxy: it forwards nothing but tunnels, and keeps what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.scripted_http import Request, read_request
from tools.embedded.ports import LOOPBACK


@dataclass
class TunnelProxy:
    """`requests` are the CONNECT requests that it got."""

    url: str
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def tunnel_proxy() -> AsyncIterator[TunnelProxy]:
    """A proxy that answers CONNECT, and connects any host to the same port of this machine."""
    connections: set[asyncio.Task[object] | None] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        to_server: asyncio.StreamWriter | None = None
        try:
            request = await read_request(client)
            proxy.requests.append(request)
            port = int(request.line.split()[1].rpartition(":")[2])
            server, to_server = await asyncio.open_connection(LOOPBACK, port)
            to_client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            directions = [asyncio.create_task(copy(client, to_server)), asyncio.create_task(copy(server, to_client))]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            to_client.close()
            if to_server is not None:
                to_server.close()
            connections.discard(asyncio.current_task())

    listener = await asyncio.start_server(serve, LOOPBACK, 0)
    proxy = TunnelProxy(f"http://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}")
    try:
        yield proxy
    finally:
        listener.close()
        for connection in list(connections):
            if connection is not None:
                connection.cancel()
                await asyncio.wait([connection])
