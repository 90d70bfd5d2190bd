"""A semaphore per key, at which tasks wait for the same row before they take a database connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .errors import EventTrioError


class KeyedSemaphoreTimeout(EventTrioError):
    """Other tasks held the key for too long."""


AT_ONCE = 2
"""One holder works, and the next one queues at the database, where other processes queue as well."""


@dataclass(slots=True)
class _Waiters:
    semaphore: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    count: int = 0


class KeyedSemaphore:
    """Admits `AT_ONCE` tasks of this process per key, first come, first served; the database orders those.

    Without it every task that waits for one database lock holds a connection, and no other work gets one.
    """

    def __init__(self) -> None:
        self._waiters: dict[Hashable, _Waiters] = {}

    @asynccontextmanager
    async def acquire(self, key: Hashable, *, seconds: float) -> AsyncIterator[None]:
        """Hold the key until the end of the block; raises KeyedSemaphoreTimeout after waiting for so many seconds."""
        waiters = self._waiters.setdefault(key, _Waiters())
        waiters.count += 1
        try:
            await _acquire(waiters.semaphore, seconds)
            try:
                yield
            finally:
                waiters.semaphore.release()
        finally:
            waiters.count -= 1
            if not waiters.count:
                del self._waiters[key]


async def _acquire(semaphore: asyncio.Semaphore, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await semaphore.acquire()
    except TimeoutError:
        raise KeyedSemaphoreTimeout from None
