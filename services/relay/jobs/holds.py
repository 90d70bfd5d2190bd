"""Holds the remaining events of held groups in bounded steps, so that reads for unsent events do not meet them."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe
from event_trio.signals import Signals

from ..group_sql import COUNT_HELD_GROUPS, HELD_GROUPS, LOCK_HELD_GROUPS
from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

STEP = 1000
ALL_GROUPS = 2**31 - 1

# One held event is enough to hold its group. Here the events behind it leave the pending index.
HOLD_REMAINING = f"""
-- hold_remaining: pending events of groups in which another event is held{HELD_GROUPS}
, remaining AS (
    SELECT pending.id, head.event_id
    FROM held CROSS JOIN LATERAL (
        SELECT e.event_id, e.lane FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = held.subject
        ORDER BY e.sequence LIMIT 1
    ) AS head CROSS JOIN LATERAL (
        SELECT e.id FROM outbox_event e
        WHERE e.lane = head.lane AND e.subject = held.subject AND e.published_at IS NULL AND e.held_at IS NULL
          AND e.sent_at IS NULL
        LIMIT $3
    ) AS pending
    WHERE NOT EXISTS (SELECT FROM outbox_release r WHERE r.subject = held.subject)
    LIMIT $3
)
UPDATE outbox_event e SET held_at = clock_timestamp(), held_behind = remaining.event_id
FROM remaining WHERE e.id = remaining.id AND e.sent_at IS NULL AND e.held_at IS NULL
"""  # noqa: S608 - constants only

# The events of a group that an operator held while nothing of it was waiting.
HOLD_NEW = """
-- hold_new: pending events of groups that an operator holds
UPDATE outbox_event e
SET held_at = clock_timestamp(), held_reason = 'held by ' || h.held_by || ': ' || h.reason
FROM outbox_hold h
WHERE h.subject = e.subject AND e.sent_at IS NULL AND e.held_at IS NULL AND e.id = ANY (ARRAY(
    SELECT pending.id FROM outbox_hold h CROSS JOIN LATERAL (
        SELECT e.id FROM outbox_event e
        WHERE e.lane = h.lane AND e.subject = h.subject AND e.published_at IS NULL AND e.held_at IS NULL
          AND e.sent_at IS NULL
        LIMIT $1
    ) AS pending
    LIMIT $1
))
"""


class Holds:
    """Holds what else waits in held groups. One relay, the owner of a fixed lane, does this for all."""

    name = "holds"
    rest_seconds = 5.0
    busy_seconds = 0.02

    def __init__(self, pool: Pool, *, metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._metrics = metrics
        self._signals = signals

    async def step(self) -> bool:
        """Hold the next events; True if there may be more."""
        return await self.hold_remaining() >= STEP

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot hold the rest of held groups", action="holds.failed", error=describe(error))

    async def hold_remaining(self) -> int:
        """Hold a bounded number of events; returns how many were held."""
        async with transaction(self._pool) as connection:
            await connection.execute(LOCK_HELD_GROUPS)
            statuses = [
                await connection.execute(HOLD_REMAINING, "", ALL_GROUPS, STEP),
                await connection.execute(HOLD_NEW, STEP),
            ]
            groups: int = await connection.fetchval(COUNT_HELD_GROUPS, "", ALL_GROUPS)
        self._metrics.held_groups.set(groups)
        held = sum(int(status.rpartition(" ")[2]) for status in statuses)
        if held:
            self._signals.emit("holds.moved", events=held)
        return held
