"""Forgets what operators did long ago, in bounded steps: the audit and finished replays do not grow for ever."""

from __future__ import annotations

import asyncio

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, transaction
from event_trio.lifecycle import pause
from event_trio.signals import Signals

log = structlog.get_logger(__name__)

STEP = 500
BETWEEN_STEPS_SECONDS = 0.1
BETWEEN_ROUNDS_SECONDS = 600.0
DAY = 86_400.0

# Both are written in the order of their ids: only the lowest are looked at.
FORGET_AUDIT = """
-- forget_audit: entries older than the retention
DELETE FROM outbox_audit WHERE id = ANY (ARRAY(SELECT id FROM outbox_audit ORDER BY id LIMIT $2))
  AND at < clock_timestamp() - $1::float8 * interval '1 second'
"""

FORGET_REPLAYS = """
-- forget_replays: replays that were over before the retention
DELETE FROM outbox_replay WHERE id = ANY (ARRAY(SELECT id FROM outbox_replay ORDER BY id LIMIT $2))
  AND finished_at < clock_timestamp() - $1::float8 * interval '1 second'
"""


class AuditPruner:
    """Keeps audit and replays at their retention, in days. Several relays may prune at once."""

    name = "audit-pruner"

    def __init__(self, pool: Pool, *, retention_days: float, signals: Signals) -> None:
        self._pool = pool
        self._retention_seconds = retention_days * DAY
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune step by step until asked to stop."""
        while not stopping.is_set():
            try:
                pruned = await self.prune()
            except DATABASE_FAULTS as error:
                log.warning("cannot prune the audit", action="audit_pruner.failed", error=type(error).__name__)
                pruned = 0
            await pause(stopping, BETWEEN_STEPS_SECONDS if pruned >= STEP else BETWEEN_ROUNDS_SECONDS)

    async def prune(self) -> int:
        """One step; returns how many entries and replays were forgotten."""
        pruned = 0
        async with transaction(self._pool) as connection:
            for statement in (FORGET_AUDIT, FORGET_REPLAYS):
                status = await connection.execute(statement, self._retention_seconds, STEP)
                pruned += int(status.rpartition(" ")[2])
        self._signals.emit("audit_pruner.pruned", entries=pruned)
        return pruned
