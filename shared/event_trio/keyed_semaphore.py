"""Lets those who want the same thing wait for each other here, before they take a connection to wait with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .errors import EventTrioError


class KeyedSemaphoreTimeout(EventTrioError):
    """Others before it took too long."""


AT_ONCE = 2
"""One at work, and the next of them already at the database, where others may come from other processes."""


@dataclass(slots=True)
class _Turn:
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    wanted: int = 0


class KeyedSemaphore:
    """`AT_ONCE` at a time for each key, first come, first served, in this process: the database orders those.

    Without it everybody who waits for one lock of the database holds a connection, and the rest of the work has none.
    """

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}

    @asynccontextmanager
    async def acquire(self, key: Hashable, *, seconds: float) -> AsyncIterator[None]:
        """The turn of `key` until the end of the block; raises NoTurn after so many seconds without it."""
        turn = self._turns.setdefault(key, _Turn())
        turn.wanted += 1
        try:
            await _acquire(turn.places, seconds)
            try:
                yield
            finally:
                turn.places.release()
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[key]


async def _acquire(places: asyncio.Semaphore, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await places.acquire()
    except TimeoutError:
        raise KeyedSemaphoreTimeout from None
