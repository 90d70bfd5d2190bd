"""The new broker that waits for somebody to decide what goes again."""

from __future__ import annotations

from event_trio.database.connections import Connection

from .replays import Criteria

ACCEPT = """
-- accept: the broker that was seen is the one that this outbox knows
UPDATE outbox_control SET broker = broker_seen, broker_seen = NULL, broker_seen_at = NULL, broker_seen_by = NULL
WHERE broker_seen IS NOT NULL RETURNING broker
"""


async def accept(connection: Connection) -> str | None:
    """Take it for known, in the caller's transaction; None when none waits."""
    accepted: str | None = await connection.fetchval(ACCEPT)
    return accepted


def decides(criteria: Criteria) -> bool:
    """Whether a replay says what of all groups goes again: that answers the question what the old broker had."""
    return all(part is None for part in (criteria.event_id, criteria.subject, criteria.type, criteria.until))
