"""Deletes what was published long ago, in bounded steps, so that the outbox stays small."""

from __future__ import annotations

import asyncio

import structlog

from shared.database import DATABASE_FAULTS, Pool, transaction
from shared.lifecycle import pause
from shared.signals import Signals

from .metrics import RelayMetrics

log = structlog.get_logger(__name__)

STEP = 1000
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 60.0

# Old events have low ids, so walking the primary key finds them at once and stops after a step.
PRUNE = """
-- prune: the oldest events that were published before the retention
DELETE FROM outbox_event WHERE id IN (
    SELECT e.id FROM (SELECT id, published_at FROM outbox_event ORDER BY id LIMIT $2) e
    WHERE e.published_at < clock_timestamp() - $1::float8 * interval '1 second'
)
"""


class Pruner:
    """Keeps the outbox at its retention, in hours. Several relays may prune at once; they only share the work."""

    name = "pruner"

    def __init__(self, pool: Pool, *, retention_hours: float, metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._retention_seconds = retention_hours * 3600
        self._metrics = metrics
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune step by step until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except DATABASE_FAULTS as error:
                log.warning("cannot prune", action="pruner.failed", error=f"{type(error).__name__}: {error}")
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """One step; returns how many events were deleted."""
        async with transaction(self._pool) as connection:
            status = await connection.execute(PRUNE, self._retention_seconds, STEP)
        pruned = int(status.rpartition(" ")[2])
        self._metrics.pruned.inc(pruned)
        self._signals.emit("pruner.pruned", events=pruned)
        return pruned
