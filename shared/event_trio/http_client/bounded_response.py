"""Reads HTTP responses up to a maximum size."""

from __future__ import annotations

import httpx

from ..errors import EventTrioError


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
    return httpx.Response(response.status_code, content=bytes(content), request=request)
