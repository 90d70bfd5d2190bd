"""Collects items for a short time, so that one statement writes many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from math import inf
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
    or every `shortest` seconds while `hurry` returns true. Sooner than `interval` is also written when no item was
    added for `quiet` seconds, or `most` items wait.

    With `hold`, the oldest item waits for `interval` seconds instead, so that it can be taken back until then. It is
    written with all that have waited for `quiet` seconds, and the others go on waiting.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        most: int,
        kept: int,
        interval: float,
        shortest: Callable[[], float] = lambda: SHORTEST_SECONDS,
        hurry: Callable[[], bool] = lambda: False,
        quiet: Callable[[], float] = lambda: inf,
        hold: bool = False,
        key: Callable[[T], Hashable] = id,
    ) -> None:
        """`kept` is the number of items at which producers should pause; items are found again by their `key`."""
        self.name = name
        self._write = write
        self._most = most
        self._kept = kept
        self._interval = interval
        self._shortest = shortest
        self._hurry = hurry
        self._quiet = quiet
        self._hold = hold
        self._key = key
        self._items: dict[Hashable, tuple[T, float]] = {}
        self._writing: Sequence[T] = ()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._healthy = asyncio.Event()
        self._healthy.set()
        self._written_at = self._added_at = 0.0

    def add(self, items: Sequence[T]) -> None:
        """Add items; they are written soon."""
        if items:
            self._added_at = asyncio.get_running_loop().time()
            for item in items:
                self._items[self._key(item)] = item, self._added_at
            self._idle.clear()
            self._changed.set()

    def find(self, key: Hashable) -> T | None:
        """Return an item whose write has not begun."""
        found = self._items.get(key)
        return found[0] if found is not None else None

    def take(self, keys: Iterable[Hashable]) -> list[T]:
        """Take items back, as far as their write has not begun: they are not written."""
        taken = [found[0] for key in keys if (found := self._items.pop(key, None)) is not None]
        self._note_idle()
        return taken

    def nudge(self) -> None:
        """Evaluate `hurry` again."""
        self._changed.set()

    @property
    def full(self) -> bool:
        """Whether producers should pause: several batches wait, or the last write failed."""
        return len(self._items) + len(self._writing) >= self._kept or not self._healthy.is_set()

    async def drained(self) -> None:
        """Wait until all items are written."""
        self._interval, self._quiet = SHORTEST_SECONDS, lambda: 0.0
        self._changed.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write batches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_until_due()
            self._written_at = loop.time()
            self._writing = [self._items.pop(key)[0] for key in self._due_keys(loop.time())]
            await self._write_until_done(self._writing)
            self._writing = ()
            self._note_idle()

    def _note_idle(self) -> None:
        if not self._items and not self._writing:
            self._idle.set()

    async def _wait_until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._items) < self._most:
            wait = self._due_at() - loop.time() if self._items else None
            if wait is not None and wait <= 0:
                return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def _due_keys(self, now: float) -> list[Hashable]:
        items = islice(self._items.items(), self._most)
        if not self._hold or len(self._items) >= self._most or self._hurry():
            return [key for key, _ in items]
        newest = now - self._quiet()
        return [key for key, (_, added_at) in items if added_at <= newest]

    def _due_at(self) -> float:
        if self._hurry():
            return self._written_at + self._shortest()
        since = next(iter(self._items.values()))[1] if self._hold else self._written_at
        return min(since + self._interval, max(self._added_at + self._quiet(), self._written_at + SHORTEST_SECONDS))

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
