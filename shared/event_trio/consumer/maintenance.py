"""Maintains the inbox: old rows are pruned, deferred messages are counted."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..inbox.dead_letters import measure
from ..inbox.retention import prune
from ..lifecycle import pause
from ..signals import Signals
from .errors import describe, is_database_failure
from .metrics import ConsumerMetrics

log = structlog.get_logger(__name__)

STEP = 1000
BETWEEN_STEPS_SECONDS = 0.2
BETWEEN_ROUNDS_SECONDS = 15.0


class InboxMaintenance:
    """A loop for the supervisor; any number may run at once."""

    name = "inbox-maintenance"

    def __init__(
        self,
        consumer: str,
        sessions: async_sessionmaker[AsyncSession],
        metrics: ConsumerMetrics,
        signals: Signals,
        *,
        retention_hours: float,
    ) -> None:
        self._consumer = consumer
        self._sessions = sessions
        self._metrics = metrics
        self._signals = signals
        self._hours = retention_hours

    async def run(self, stopping: asyncio.Event) -> None:
        """Work in small steps until asked to stop."""
        while not stopping.is_set():
            pruned = 0
            try:
                await self.measure()
                pruned = await self.prune()
            except Exception as error:
                if not is_database_failure(error):
                    raise
                log.warning("the inbox cannot be maintained", action="inbox_maintenance.failed", error=describe(error))
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned == STEP else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """Prune once; returns how many rows were deleted."""
        async with self._sessions.begin() as session:
            pruned = await prune(session, self._consumer, hours=self._hours, limit=STEP)
        self._metrics.pruned.inc(pruned)
        self._signals.emit("inbox_maintenance.pruned", rows=pruned)
        return pruned

    async def measure(self) -> None:
        """Set the metrics of deferred messages."""
        async with self._sessions() as session:
            found = await measure(session, self._consumer)
        for status, (count, seconds) in found.items():
            self._metrics.deferred.labels(status).set(count)
            self._metrics.oldest_deferred.labels(status).set(seconds)
