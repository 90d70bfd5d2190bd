"""Collects items for a short time, so that one statement writes many of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

import structlog

from event_trio.backoff import Backoff
from event_trio.database.connections import DATABASE_FAULTS
from event_trio.error_text import describe
from event_trio.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")
FAULTS: tuple[type[BaseException], ...] = (*DATABASE_FAULTS, BrokerUnavailable)
SHORTEST_SECONDS = 0.02
RETRY = Backoff(first=0.1, factor=2, cap=5.0, jitter=0.5)


class BatchWriter(Generic[T]):
    """Writes items in batches; a batch that fails is written again until it succeeds.

    The first item after an idle time is written at once. Under load, writes begin at most every `interval` seconds,
    or every `shortest` seconds while `hurry` returns true.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        most: int,
        interval: float,
        shortest: Callable[[], float] = lambda: SHORTEST_SECONDS,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._write = write
        self._most = most
        self._interval = interval
        self._shortest = shortest
        self._hurry = hurry
        self._items: deque[T] = deque()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._healthy = asyncio.Event()
        self._healthy.set()
        self._written_at = 0.0

    def add(self, items: Sequence[T]) -> None:
        """Add items; they are written soon."""
        if items:
            self._items.extend(items)
            self._idle.clear()
            self._changed.set()

    def nudge(self) -> None:
        """Evaluate `hurry` again."""
        self._changed.set()

    @property
    def full(self) -> bool:
        """Whether producers should pause: several batches wait, or the last write failed."""
        return len(self._items) >= 5 * self._most or not self._healthy.is_set()

    async def drained(self) -> None:
        """Wait until all items are written."""
        self._interval = SHORTEST_SECONDS
        self._changed.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write batches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._items:
                self._changed.clear()
                await self._changed.wait()
            await self._wait_for_more()
            self._written_at = loop.time()
            batch = list(islice(self._items, self._most))
            await self._write_until_done(batch)
            for _ in batch:
                self._items.popleft()
            if not self._items:
                self._idle.set()

    async def _wait_for_more(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._items) < self._most:
            least = self._shortest() if self._hurry() else self._interval
            wait = self._written_at + least - loop.time()
            if wait <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _write_until_done(self, batch: Sequence[T]) -> None:
        failures = 0
        while True:
            try:
                await self._write(batch)
            except FAULTS as error:
                failures += 1
                self._healthy.clear()
                log.warning(
                    "cannot write a batch; it is written again",
                    action=f"{self.name}.delayed",
                    items=len(batch),
                    error=describe(error),
                )
                await asyncio.sleep(RETRY.delay(failures))
            else:
                self._healthy.set()
                return
