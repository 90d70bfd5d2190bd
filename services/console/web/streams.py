"""Parts of pages that are sent as they change: server-sent events, bounded in number and in time."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import StreamingResponse

from .errors import PageError

LONGEST_SECONDS = 600.0
"""The browser opens a stream again after so long; until then a token may have ended."""
BEAT_SECONDS = 10.0
"""How long a stream is silent at most, so that a browser that left is noticed."""
MOST_PER_SESSION = 6
MOST = 500
LINES = re.compile(r"\r\n|\r|\n")
"""What ends a line of an event: the text of a service must not begin a field of its own."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """The open streams. `close` ends them, so that a process that stops does not wait for browsers."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._open: Counter[str] = Counter()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams; browsers come back by themselves."""
        self._closing.set()

    def respond(
        self, owner: str, parts: AsyncIterator[tuple[str, str]], *, is_valid: Callable[[], Awaitable[bool]]
    ) -> StreamingResponse:
        """The parts with their ids as events, until the iterator ends or the session is no longer valid.

        Raises PageError if the owner has too many open.
        """
        if self._open[owner] >= MOST_PER_SESSION or self._open.total() >= MOST:
            raise PageError("too_many", 429, headers={"Retry-After": "5"})
        return StreamingResponse(
            self._events(owner, parts, is_valid), media_type="text/event-stream", headers=dict(HEADERS)
        )

    async def _events(
        self, owner: str, parts: AsyncIterator[tuple[str, str]], is_valid: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        self._open[owner] += 1
        ends_at, beat_at = self._monotonic() + LONGEST_SECONDS, 0.0
        try:
            while self._monotonic() < ends_at and not self._closing.is_set():
                try:
                    id, part = await self._next(parts)
                except StopAsyncIteration:
                    yield event_text("end", "")
                    return
                now = self._monotonic()
                if part or now >= beat_at:
                    if not await is_valid():
                        return
                    beat_at = now + BEAT_SECONDS
                    yield event_text("part" if part else "beat", part, id)
        finally:
            self._open[owner] -= 1
            self._open += Counter()

    async def _next(self, parts: AsyncIterator[tuple[str, str]]) -> tuple[str, str]:
        """The next part; raises StopAsyncIteration at the end, and when all streams are closed."""
        part = asyncio.ensure_future(anext(parts))
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait((part, closing), return_when=asyncio.FIRST_COMPLETED)
            if not part.done():
                return "", ""
            return part.result()
        finally:
            closing.cancel()
            if not part.done():
                part.cancel()


def event_text(name: str, text: str, id: str = "") -> bytes:
    """An event of a stream, with its text in lines of its own."""
    lines = [f"event: {name}", *([f"id: {id}"] if id else []), *(f"data: {line}" for line in LINES.split(text))]
    return ("\n".join(lines) + "\n\n").encode()
