"""Deletes published events after their retention, in bounded steps, so that the outbox stays small."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe
from event_trio.signals import Signals

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

STEP = 1000

# The walk follows the primary key: old events have low ids, and old events that must stay (unpublished or held) are
# passed once a round instead of in every step.
PRUNE = """
-- prune: of the next events by id, delete those published before the retention
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


class EventPruner:
    """Keeps published events for a retention in hours. Several relays may prune at the same time."""

    name = "pruner"
    rest_seconds = 60.0
    busy_seconds = 0.1

    def __init__(self, pool: Pool, *, retention_hours: float, metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._retention_seconds = retention_hours * 3600
        self._metrics = metrics
        self._signals = signals
        self._after = 0

    async def step(self) -> bool:
        """Examine the next events; True until the round has reached recent events."""
        return await self.prune() > 0 or self._after > 0

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot prune", action="pruner.failed", error=describe(error))

    async def prune(self) -> int:
        """Examine a bounded number of events; returns how many were deleted."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(PRUNE, self._retention_seconds, self._after, STEP)
        self._after = 0 if row["done"] else row["last"]
        pruned: int = row["pruned"]
        self._metrics.pruned.inc(pruned)
        self._signals.emit("pruner.pruned", events=pruned)
        return pruned
