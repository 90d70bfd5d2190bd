"""Statements of operators that hold groups, with or without waiting events, and that release them."""

from __future__ import annotations

from event_trio.database.connections import Connection
from event_trio.outbox.notifier import LANES_CHANNEL

PLACE = """
-- place: hold a group, whether or not it has waiting events; no row if an operator holds it already
INSERT INTO outbox_hold (subject, held_by, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING subject
"""

LIFT = """
-- lift: remove an operator's hold on a group
DELETE FROM outbox_hold WHERE subject = $1 RETURNING subject
"""

PLACED = """
-- placed: who holds a group, and why
SELECT held_by, reason FROM outbox_hold WHERE subject = $1
"""

HOLD_FIRST = """
-- hold_first: the first unsent events of a group; a relay holds the others later
WITH first AS (
    SELECT e.id FROM outbox_event e
    WHERE e.lane = $1 AND e.subject = $2 AND e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at IS NULL
    ORDER BY e.sequence LIMIT $4
), locked AS (
    SELECT e.id FROM outbox_event e JOIN first USING (id) WHERE e.sent_at IS NULL AND e.held_at IS NULL
    ORDER BY e.id FOR NO KEY UPDATE OF e
)
UPDATE outbox_event e SET held_at = clock_timestamp(), held_reason = $3 FROM locked WHERE e.id = locked.id
"""

HELD_HEAD = """
-- held_head: the first held event of a group, and why it is held
SELECT e.held_reason, e.held_behind FROM outbox_event e
WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT 1
"""

OTHER_CAUSE = """
-- other_cause: whether an event of a group, among the first, is held for a reason of its own
SELECT EXISTS (
    SELECT FROM (
        SELECT e.held_behind FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1
        ORDER BY e.sequence LIMIT 100
    ) AS first WHERE first.held_behind IS NULL
)
"""

INHERIT = """
-- inherit: the first event that stays held takes over the reason
UPDATE outbox_event SET held_reason = $2, held_behind = NULL WHERE id = (
    SELECT e.id FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT 1
)
"""

REQUEST_RELEASE = """
-- request_release: let a relay release a held group; no row if that was requested already
INSERT INTO outbox_release (subject, requested_by) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING subject
"""

CANCEL_RELEASE = """
-- cancel_release: keep a group held; waits for a step in progress
DELETE FROM outbox_release WHERE subject = $1 RETURNING subject
"""

# More than a relay takes of a group in one read: an event that a relay has read may still be sent, which ends its hold.
HELD_AT_ONCE = 100


def reason_of(actor: str, why: str) -> str:
    """Return the text that an operator's hold leaves as the reason of each held event."""
    return f"held by {actor}: {why}"


async def place(connection: Connection, subject: str, *, actor: str, why: str) -> bool:
    """Hold a group in the caller's transaction; False if an operator holds it already."""
    return await connection.fetchval(PLACE, subject, actor, why) is not None


async def lift(connection: Connection, subject: str) -> bool:
    """Remove an operator's hold in the caller's transaction; False if there is none."""
    return await connection.fetchval(LIFT, subject) is not None


async def placed(connection: Connection, subject: str) -> str | None:
    """Return why an operator holds the group, or None."""
    row = await connection.fetchrow(PLACED, subject)
    return reason_of(row["held_by"], row["reason"]) if row else None


async def hold_first(connection: Connection, subject: str, lane: int, reason: str) -> int:
    """Hold the first unsent events of a group in the caller's transaction; returns how many."""
    status: str = await connection.execute(HOLD_FIRST, lane, subject, reason, HELD_AT_ONCE)
    return int(status.rpartition(" ")[2])


async def held_because(connection: Connection, subject: str) -> str | None:
    """Return why the first held event of a group is held; None if no event of the group is held."""
    row = await connection.fetchrow(HELD_HEAD, subject)
    if row is None:
        return None
    return row["held_reason"] or f"behind {row['held_behind']}"


async def has_other_cause(connection: Connection, subject: str) -> bool:
    """Return whether a group has an event that is held for a reason of its own."""
    found: bool = await connection.fetchval(OTHER_CAUSE, subject)
    return found


async def inherit(connection: Connection, subject: str, reason: str) -> None:
    """Give the first held event of a group a reason of its own, in the caller's transaction."""
    await connection.execute(INHERIT, subject, reason)


async def request_release(connection: Connection, subject: str, *, actor: str) -> bool:
    """Request a release in the caller's transaction; False if it was requested already."""
    requested = await connection.fetchval(REQUEST_RELEASE, subject, actor)
    await connection.execute(f"NOTIFY {LANES_CHANNEL}")
    return requested is not None


async def cancel_release(connection: Connection, subject: str) -> bool:
    """Cancel a requested release in the caller's transaction; False if there is none."""
    return await connection.fetchval(CANCEL_RELEASE, subject) is not None
