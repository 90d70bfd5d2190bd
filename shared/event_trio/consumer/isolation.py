"""Runs a possibly poisonous message in isolation, so that no other one is running when the process ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ISOLATED_FROM = 2
"""The unfinished starts from which on a deferred message runs in isolation. One end of the process is weak evidence: up
to then it is enough that no other such message runs at the same time."""


class Isolation:
    """Shared by all loops of a process that run handlers. Handlers run concurrently, or one runs in isolation.

    A handler that waits to run in isolation is not overtaken, or a steady stream of others would keep it waiting.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting: deque[asyncio.Event] = deque()
        self._is_isolated = False
        self._admits = asyncio.Event()
        self._admits.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Run beside others, once nothing runs or waits to run in isolation."""
        while not self._admits.is_set():
            await self._admits.wait()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._admit()

    @asynccontextmanager
    async def isolated(self) -> AsyncIterator[None]:
        """Run while nothing else does."""
        turn = asyncio.Event()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn.wait()
            yield
        finally:
            if turn.is_set():
                self._is_isolated = False
            else:
                self._waiting.remove(turn)
            self._admit()

    def _admit(self) -> None:
        if self._waiting and not self._running and not self._is_isolated:
            self._is_isolated = True
            self._waiting.popleft().set()
        if self._waiting or self._is_isolated:
            self._admits.clear()
        else:
            self._admits.set()
