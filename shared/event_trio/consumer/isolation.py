"""Lets what may kill the process run alone in it: what dies with it would look as guilty."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ALONE_FROM = 2
"""Starts without an end from which on a message that was put aside runs alone. One end of the process says little: up
to then it is enough that no other such message runs beside it."""


class Isolation:
    """One for all loops of a process that run handlers. Handlers run beside each other, or one runs alone.

    Who waits to run alone is not overtaken, or a steady stream of others would keep it waiting.
    """

    def __init__(self) -> None:
        self._running = 0
        self._alone: deque[asyncio.Event] = deque()
        self._runs_alone = False
        self._opened = asyncio.Event()
        self._opened.set()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Run beside others, once nobody runs alone or waits to."""
        while not self._opened.is_set():
            await self._opened.wait()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._admit()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run while nothing else does."""
        turn = asyncio.Event()
        self._alone.append(turn)
        self._admit()
        try:
            await turn.wait()
            yield
        finally:
            if turn.is_set():
                self._runs_alone = False
            else:
                self._alone.remove(turn)
            self._admit()

    def _admit(self) -> None:
        if self._alone and not self._running and not self._runs_alone:
            self._runs_alone = True
            self._alone.popleft().set()
        if self._alone or self._runs_alone:
            self._opened.clear()
        else:
            self._opened.set()
