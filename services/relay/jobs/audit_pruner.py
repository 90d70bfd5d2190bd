"""Deletes old entries of the audit and old finished replays in bounded steps."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe
from event_trio.signals import Signals

log = structlog.get_logger(__name__)

STEP = 500
DAY = 86_400.0

# Ids grow with time in both tables, so each statement examines only the lowest ids.
DELETE_AUDIT_ENTRIES = """
-- delete_audit_entries: entries older than the retention
DELETE FROM outbox_audit WHERE id = ANY (ARRAY(SELECT id FROM outbox_audit ORDER BY id LIMIT $2))
  AND at < clock_timestamp() - $1::float8 * interval '1 second'
"""

DELETE_REPLAYS = """
-- delete_replays: replays that finished before the retention
DELETE FROM outbox_replay WHERE id = ANY (ARRAY(SELECT id FROM outbox_replay ORDER BY id LIMIT $2))
  AND finished_at < clock_timestamp() - $1::float8 * interval '1 second'
"""


class AuditPruner:
    """Keeps the audit and the replays for a retention in days. Several relays may prune at the same time."""

    name = "audit-pruner"
    rest_seconds = 600.0
    busy_seconds = 0.1

    def __init__(self, pool: Pool, *, retention_days: float, signals: Signals) -> None:
        self._pool = pool
        self._retention_seconds = retention_days * DAY
        self._signals = signals

    async def step(self) -> bool:
        """Delete the next rows; True if there may be more."""
        return await self.prune() >= STEP

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot prune the audit", action="audit_pruner.failed", error=describe(error))

    async def prune(self) -> int:
        """Delete a bounded number of rows; returns how many were deleted."""
        pruned = 0
        async with transaction(self._pool) as connection:
            for statement in (DELETE_AUDIT_ENTRIES, DELETE_REPLAYS):
                status = await connection.execute(statement, self._retention_seconds, STEP)
                pruned += int(status.rpartition(" ")[2])
        self._signals.emit("audit_pruner.pruned", entries=pruned)
        return pruned
