"""Tells the relays that do not hold the slot which of their lanes have news; they read the table."""

from __future__ import annotations

import asyncio

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, single_statement
from event_trio.error_text import describe
from event_trio.lifecycle import Waker, pause
from event_trio.outbox.notifier import CHANNEL, LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from event_trio.signals import Signals

log = structlog.get_logger(__name__)

IDLE_SECONDS = 60.0

NOTIFY = """
-- notify: these lanes have news
SELECT pg_notify($1, $2)
"""


class LaneNotifier:
    """Notifies at once, and again after a pause as long as the notification took, so that one serves many commits."""

    name = "wal-notifier"

    def __init__(self, pool: Pool, *, signals: Signals) -> None:
        self._pool = pool
        self._signals = signals
        self._lanes: set[int] = set()
        self._waker = Waker()

    def notify(self, lanes: set[int]) -> None:
        """Request a notification about these lanes."""
        self._lanes |= lanes
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send requested notifications until asked to stop."""
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            if not self._lanes:
                await self._waker.rest(stopping, IDLE_SECONDS)
                continue
            lanes, self._lanes = self._lanes, set()
            began = loop.time()
            try:
                async with single_statement(self._pool) as connection:
                    await connection.fetchval(NOTIFY, CHANNEL, ",".join(map(str, sorted(lanes))))
                self._signals.emit("wal.passed_on", lanes=len(lanes))
            except DATABASE_FAULTS as error:
                # The other relays poll.
                log.warning("cannot notify the other relays", action="wal.not_passed_on", error=describe(error))
            await pause(stopping, min(LONGEST_PAUSE_SECONDS, max(LEAST_PAUSE_SECONDS, loop.time() - began)))
