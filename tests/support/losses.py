"""A proxy of a service that loses responses: the request is processed, then the connection is closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

CHUNK = 65_536


@asynccontextmanager
async def losing(url: str, *, answers: int) -> AsyncIterator[str]:
    """The URL of the proxy; the first `answers` responses to a POST are lost."""
    address = httpx.URL(url)
    remaining = answers
    carrying: set[asyncio.Task[None] | None] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal remaining
        carrying.add(asyncio.current_task())
        back, there = await asyncio.open_connection(address.host, address.port)
        changes = False

        async def ask() -> None:
            nonlocal changes
            while asked := await reader.read(CHUNK):
                changes = changes or asked.startswith(b"POST ")
                there.write(asked)

        asking = asyncio.create_task(ask())
        try:
            while answered := await back.read(CHUNK):
                if changes and remaining:
                    remaining -= 1
                    return
                writer.write(answered)
        finally:
            asking.cancel()
            there.close()
            writer.close()
            await asyncio.gather(asking, there.wait_closed(), writer.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tasks = [task for task in carrying if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
