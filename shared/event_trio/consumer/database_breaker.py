"""Closed while the database is down: nothing is received and nothing is started until it takes writes again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..backoff import Backoff
from ..database.faults import Fault, fault_of
from ..inbox import unfinished_attempts

log = structlog.get_logger(__name__)

PROBE = Backoff(first=0.1, factor=2.0, cap=5.0, jitter=0.5)
PROBE_SECONDS = 5.5  # a little more than connecting may take, and waiting for a connection of the pool
FLAPS_SECONDS = 10.0
"""Closed again within so long after it opened, it does not begin to probe anew, but goes on where it was."""


class DatabaseBreaker:
    """Whether the database can be worked with. It is closed by whoever meets a failure, and opens by itself."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions
        self._opened = asyncio.Event()
        self._opened.set()
        self._closed = asyncio.Event()
        self._error: str | None = None
        self._probing: asyncio.Task[bool] | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages may be received and started."""
        return self._opened.is_set()

    @property
    def trouble(self) -> str | None:
        """Why the breaker is closed, or None."""
        return self._error

    def close(self, error: str) -> None:
        """The database failed."""
        if self.is_open:
            log.warning("the database fails; waiting for it", action="consumer.database_unavailable", error=error)
        self._error = error
        self._opened.clear()
        self._closed.set()

    async def opened(self) -> None:
        """Wait until the breaker is open."""
        await self._opened.wait()

    async def run(self, on_open: Callable[[], None]) -> None:
        """Probe the database whenever the breaker is closed, until cancelled; `on_open` is told when it opens."""
        failures, opened_at = 0, -FLAPS_SECONDS
        while True:
            await self._closed.wait()
            flaps = time.monotonic() - opened_at < FLAPS_SECONDS
            failures = failures + 1 if flaps else 0
            if flaps:
                await _wait(failures)
            while not await self.answers():
                failures += 1
                await _wait(failures)
            opened_at = time.monotonic()
            if failures:
                log.info("the database answers again", action="consumer.database_available", probes=failures + 1)
            self._error = None
            self._closed.clear()
            self._opened.set()
            on_open()

    async def answers(self) -> bool:
        """Whether the database takes a write right now; who asks at one time shares one attempt.

        A write, for a standby, a full disk and a read-only database answer questions well. It is rolled back, and of
        the inbox's own tables, without which nothing can be handled.
        """
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        return await asyncio.shield(self._probing)

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS), self._sessions() as session:
                await unfinished_attempts.try_to_write(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, it was not written
            # A lock that somebody holds on the table is no outage: the database says so.
            return fault_of(error) is Fault.TRANSIENT
        return True


async def _wait(failures: int) -> None:
    await asyncio.sleep(PROBE.delay(failures))
