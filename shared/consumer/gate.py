"""Closed while the database is down: nothing is received and nothing is started until it answers again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..retry import Backoff
from .failures import is_database_failure

log = structlog.get_logger(__name__)

PROBE = Backoff(first=0.1, factor=2.0, cap=5.0, jitter=0.5)
PROBE_SECONDS = 5.0


class Gate:
    """Whether the database can be worked with. It is closed by whoever meets a failure, and opens by itself."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions
        self._opened = asyncio.Event()
        self._opened.set()
        self._closed = asyncio.Event()
        self._error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages may be received and started."""
        return self._opened.is_set()

    @property
    def trouble(self) -> str | None:
        """Why the gate is closed, or None."""
        return self._error

    def close(self, error: str) -> None:
        """The database failed."""
        if self.is_open:
            log.warning("the database fails; waiting for it", action="consumer.database_down", error=error)
        self._error = error
        self._opened.clear()
        self._closed.set()

    async def opened(self) -> None:
        """Wait until the gate is open."""
        await self._opened.wait()

    async def run(self, on_open: Callable[[], None]) -> None:
        """Probe the database whenever the gate is closed, until cancelled; `on_open` is told when it opens."""
        while True:
            await self._closed.wait()
            failures = 0
            while not await self.answers():
                failures += 1
                # Jitter is no secret.
                await asyncio.sleep(PROBE.delay(failures, random.random()))  # noqa: S311
            if failures:
                log.info("the database answers again", action="consumer.database_up", probes=failures + 1)
            self._error = None
            self._closed.clear()
            self._opened.set()
            on_open()

    async def answers(self) -> bool:
        """Whether the database answers a trivial question right now."""
        try:
            async with asyncio.timeout(PROBE_SECONDS), self._sessions() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:
            if not is_database_failure(error):
                raise
            return False
        return True
