"""Deletes what was published long ago, in bounded steps, so that the outbox stays small."""

from __future__ import annotations

import asyncio

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, transaction
from event_trio.error_text import describe
from event_trio.lifecycle import pause
from event_trio.signals import Signals

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

STEP = 1000
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 60.0

# Walks the table by its primary key, a step at a time: old events have low ids, and old ones that may not go (not
# published, or held) are passed by, not stumbled over again and again.
PRUNE = """
-- prune: of the next events by id, those that were published before the retention
WITH looked AS (
    SELECT id, published_at, recorded_at FROM outbox_event WHERE id > $2 ORDER BY id LIMIT $3
), pruned AS (
    DELETE FROM outbox_event e USING looked
    WHERE e.id = looked.id AND looked.published_at < clock_timestamp() - $1::float8 * interval '1 second'
    RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS pruned, max(id) AS last,
       count(*) < $3 OR bool_or(recorded_at > clock_timestamp() - $1::float8 * interval '1 second') AS done
FROM looked
"""


class Pruner:
    """Keeps the outbox at its retention, in hours. Several relays may prune at once; they only share the work."""

    name = "pruner"

    def __init__(self, pool: Pool, *, retention_hours: float, metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._retention_seconds = retention_hours * 3600
        self._metrics = metrics
        self._signals = signals
        self._after = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune step by step until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except DATABASE_FAULTS as error:
                log.warning("cannot prune", action="pruner.failed", error=describe(error))
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned or self._after else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """One step; returns how many events were deleted."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(PRUNE, self._retention_seconds, self._after, STEP)
        if row is None or row["done"]:
            self._after = 0
        else:
            self._after = row["last"]
        pruned: int = row["pruned"] if row else 0
        self._metrics.pruned.inc(pruned)
        self._signals.emit("pruner.pruned", events=pruned)
        return pruned
