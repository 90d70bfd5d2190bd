"""Runs a possibly poisonous message in isolation, so that no other one is running when the process ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

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

    def shared(self) -> AbstractAsyncContextManager[None]:
        """Run beside others, once nothing runs or waits to run in isolation."""
        return _Shared(self)

    async def enter(self) -> None:
        """Begin to run beside others; `leave` has to follow."""
        while not self._admits.is_set():
            await self._admits.wait()
        self._running += 1

    def leave(self) -> None:
        """It ran beside others."""
        self._running -= 1
        if self._waiting:
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


class _Shared(AbstractAsyncContextManager[None]):
    """As a class, because it is entered for every message."""

    __slots__ = ("_isolation",)

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    async def __aenter__(self) -> None:
        await self._isolation.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._isolation.leave()
