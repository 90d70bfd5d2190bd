"""Reads HTTP responses up to a maximum size."""

from __future__ import annotations

import httpx

from ..errors import EventTrioError

OF_THE_TRANSFER = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""The headers that describe the bytes on the connection, and not those after decompression."""


class ResponseTooLarge(EventTrioError):
    """The response exceeds the maximum size."""


async def send(client: httpx.AsyncClient, request: httpx.Request, *, largest: int) -> httpx.Response:
    """Send a request and read the response, of at most `largest` bytes after decompression.

    Raises ResponseTooLarge, or an error of httpx.
    """
    content = bytearray()
    response = await client.send(request, stream=True)
    try:
        async for part in response.aiter_bytes():
            content += part
            if len(content) > largest:
                raise ResponseTooLarge(f"the response exceeds {largest} bytes")
    finally:
        await response.aclose()
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in OF_THE_TRANSFER]
    return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=request)
