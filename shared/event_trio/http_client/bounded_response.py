"""Reads an answer over HTTP whole, but only so much of it as there is memory meant for it."""

from __future__ import annotations

import httpx

from ..errors import EventTrioError


class ResponseTooLarge(EventTrioError):
    """The answer is larger than what is read of one."""


async def send(client: httpx.AsyncClient, request: httpx.Request, *, largest: int) -> httpx.Response:
    """The answer, of at most `largest` bytes when unpacked; raises ResponseTooLarge, or what httpx raises."""
    content = bytearray()
    answer = await client.send(request, stream=True)
    try:
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > largest:
                raise ResponseTooLarge(f"the answer is larger than {largest} bytes")
    finally:
        await answer.aclose()
    return httpx.Response(answer.status_code, content=bytes(content), request=request)
