"""Takes the rest of a held group out of the way, in bounded steps, so that no read stumbles over it again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.lifecycle import pause
from event_trio.signals import Signals

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

# What comes to a group that an operator holds, of which nothing waited before.
HOLD_ARRIVED = """
-- hold_arrived: pending events of groups that an operator holds
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

PLACE = """
-- place: an operator holds a group, whether or not anything of it waits; nothing when it is held so already
INSERT INTO outbox_hold (subject, held_by, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING subject
"""

LIFT = """
-- lift: an operator no longer holds a group
DELETE FROM outbox_hold WHERE subject = $1 RETURNING subject
"""

PLACED = """
-- placed: who holds a group, and why
SELECT held_by, reason FROM outbox_hold WHERE subject = $1
"""

# Whoever holds or releases in steps takes this first: a group that is just being let go must not be held again by a
# look at it that is a moment old.
TAKE_TURN = """
-- take_turn: wait until nobody else holds or releases groups in steps
SELECT FROM outbox_control FOR NO KEY UPDATE
"""

# The first held group behind another: one of which an event is held, or which an operator holds.
NEXT_HELD = """least(
    (SELECT e.subject FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject > {after}
     ORDER BY e.subject LIMIT 1),
    (SELECT h.subject FROM outbox_hold h WHERE h.subject > {after} ORDER BY h.subject LIMIT 1)
)"""

COUNT_HELD = f"""
-- count_held: groups that wait for a person
WITH RECURSIVE held(subject) AS (
    SELECT {NEXT_HELD.format(after="''")}
    UNION ALL
    SELECT {NEXT_HELD.format(after="held.subject")} FROM held WHERE held.subject IS NOT NULL
)
SELECT count(held.subject) FROM held
"""  # noqa: S608 - constants only


def reason(actor: str, why: str) -> str:
    """What an event is held for that an operator holds."""
    return f"held by {actor}: {why}"


async def place(connection: Connection, subject: str, *, actor: str, why: str) -> bool:
    """Hold a group, in the caller's transaction; False when an operator holds it already."""
    return await connection.fetchval(PLACE, subject, actor, why) is not None


async def lift(connection: Connection, subject: str) -> bool:
    """Hold a group no longer, in the caller's transaction; False when no operator holds it."""
    return await connection.fetchval(LIFT, subject) is not None


async def placed(connection: Connection, subject: str) -> str | None:
    """Why an operator holds the group, or None."""
    row = await connection.fetchrow(PLACED, subject)
    return reason(row["held_by"], row["reason"]) if row else None


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
            await pause(stopping, BETWEEN_STEPS_SECONDS if moved >= STEP else EVERY_SECONDS)

    async def hold_the_rest(self) -> int:
        """One step; returns how many events were held behind another."""
        async with transaction(self._pool) as connection:
            await connection.execute(TAKE_TURN)
            statuses = [await connection.execute(statement, STEP) for statement in (HOLD_THE_REST, HOLD_ARRIVED)]
            groups: int = await connection.fetchval(COUNT_HELD)
        self._metrics.held_groups.set(groups)
        moved = sum(int(status.rpartition(" ")[2]) for status in statuses)
        if moved:
            self._signals.emit("holds.moved", events=moved)
        return moved
