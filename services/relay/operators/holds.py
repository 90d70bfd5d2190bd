"""Takes the rest of a held group out of the way, in bounded steps, so that no read stumbles over it again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from shared.database import DATABASE_FAULTS, Pool, transaction
from shared.lifecycle import pause
from shared.signals import Signals

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

STEP = 1000
EVERY_SECONDS = 5.0
BETWEEN_STEPS_SECONDS = 0.02
LANE = 0

# A group is held as soon as one of its events is; those behind it leave the pending index here.
HOLD_THE_REST = """
-- hold_the_rest: pending events of groups of which one is held already
WITH RECURSIVE held(subject, lane, event_id) AS (
    (SELECT e.subject, e.lane, e.event_id FROM outbox_event e WHERE e.held_at IS NOT NULL
     ORDER BY e.subject, e.sequence LIMIT 1)
    UNION ALL
    SELECT next.subject, next.lane, next.event_id FROM held CROSS JOIN LATERAL (
        SELECT e.subject, e.lane, e.event_id FROM outbox_event e
        WHERE e.held_at IS NOT NULL AND e.subject > held.subject ORDER BY e.subject, e.sequence LIMIT 1
    ) AS next
), rest AS (
    SELECT pending.id, held.event_id FROM held CROSS JOIN LATERAL (
        SELECT e.id FROM outbox_event e
        WHERE e.lane = held.lane AND e.subject = held.subject AND e.published_at IS NULL AND e.held_at IS NULL
          AND e.sent_at IS NULL
        LIMIT $1
    ) AS pending
    WHERE NOT EXISTS (SELECT FROM outbox_release r WHERE r.subject = held.subject)
    LIMIT $1
)
UPDATE outbox_event e SET held_at = clock_timestamp(), held_reason = 'behind ' || rest.event_id
FROM rest WHERE e.id = rest.id AND e.sent_at IS NULL AND e.held_at IS NULL
"""

# Whoever holds or releases in steps takes this first: a group that is just being let go must not be held again by a
# look at it that is a moment old.
TAKE_TURN = """
-- take_turn: wait until nobody else holds or releases groups in steps
SELECT FROM outbox_control FOR NO KEY UPDATE
"""

COUNT_HELD = """
-- count_held: groups that wait for a person
WITH RECURSIVE held(subject) AS (
    (SELECT e.subject FROM outbox_event e WHERE e.held_at IS NOT NULL ORDER BY e.subject LIMIT 1)
    UNION ALL
    SELECT (SELECT e.subject FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject > held.subject
            ORDER BY e.subject LIMIT 1)
    FROM held WHERE held.subject IS NOT NULL
)
SELECT count(held.subject) FROM held
"""


class Holds:
    """Follows up on held groups; the relay that owns one certain lane does it for all."""

    name = "holds"

    def __init__(self, pool: Pool, *, may_work: Callable[[int], bool], metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._may_work = may_work
        self._metrics = metrics
        self._signals = signals

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow up until asked to stop."""
        while not stopping.is_set():
            moved = 0
            if self._may_work(LANE):
                try:
                    moved = await self.hold_the_rest()
                except DATABASE_FAULTS as error:
                    log.warning("cannot follow up on holds", action="holds.failed", error=type(error).__name__)
            await pause(stopping, BETWEEN_STEPS_SECONDS if moved == STEP else EVERY_SECONDS)

    async def hold_the_rest(self) -> int:
        """One step; returns how many events were held behind another."""
        async with transaction(self._pool) as connection:
            await connection.execute(TAKE_TURN)
            status = await connection.execute(HOLD_THE_REST, STEP)
            groups: int = await connection.fetchval(COUNT_HELD)
        self._metrics.held_groups.set(groups)
        moved = int(status.rpartition(" ")[2])
        if moved:
            self._signals.emit("holds.moved", events=moved)
        return moved
