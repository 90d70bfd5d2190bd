"""The circuit breaker of the database: while it is open, nothing is received and no handler is started."""

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
"""If it opens again this soon after it closed, the delays between probes continue to grow."""


class DatabaseBreaker:
    """Opens at the first failure of the database as a whole, and closes when a probe can write.

    Unlike `CircuitBreaker` it needs no count of failures, for a failure is confirmed by a probe, and no traffic probes
    it: `run` does.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions
        self._closed = asyncio.Event()
        self._closed.set()
        self._opened = asyncio.Event()
        self._reason: str | None = None
        self._probing: asyncio.Task[bool] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether messages may be received and handlers started."""
        return self._closed.is_set()

    @property
    def reason(self) -> str | None:
        """Why the breaker is open, or None."""
        return self._reason

    def record_failure(self, reason: str) -> None:
        """The database as a whole failed."""
        if self.is_closed:
            log.warning("the database is unavailable", action="consumer.database_unavailable", error=reason)
        self._reason = reason
        self._closed.clear()
        self._opened.set()

    async def closed(self) -> None:
        """Wait until the breaker is closed."""
        await self._closed.wait()

    async def run(self, on_close: Callable[[], None]) -> None:
        """Probe the database whenever the breaker is open, until cancelled; call `on_close` when it closes."""
        failures, closed_at = 0, -FLAPS_SECONDS
        while True:
            await self._opened.wait()
            flaps = time.monotonic() - closed_at < FLAPS_SECONDS
            failures = failures + 1 if flaps else 0
            if flaps:
                await asyncio.sleep(PROBE.delay(failures))
            while not await self.answers():
                failures += 1
                await asyncio.sleep(PROBE.delay(failures))
            closed_at = time.monotonic()
            if failures:
                log.info("the database is available", action="consumer.database_available", probes=failures + 1)
            self._reason = None
            self._opened.clear()
            self._closed.set()
            on_close()

    async def answers(self) -> bool:
        """Whether the database accepts a write now. Concurrent callers share one probe.

        The probe writes, because a standby, a full disk and a read-only database answer queries. It writes to a table
        of the inbox, without which nothing can be handled, and is rolled back.
        """
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        return await asyncio.shield(self._probing)

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS), self._sessions() as session:
                await unfinished_attempts.try_to_write(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was written
            # A lock on the table is not an outage: the database answered.
            return fault_of(error) is Fault.TRANSIENT
        return True
