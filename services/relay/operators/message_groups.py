"""Looks at the groups of an outbox and at single events: what is held and why, and how far each came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from event_trio.database.connections import Pool, transaction
from event_trio.outbox.limits import size

from . import audit
from .holds import NEXT_HELD
from .views import AuditEntry, Count, EventLife, GroupState, HeldGroup, State, WaitingEvent

# Bounds of what is counted and shown: a look must cost the same whatever the backlog.
GROUPS_COUNTED = 1000
BEHIND_COUNTED = 1000
# The event for which a group is held is its first, or near it: those behind it say "behind <event>".
CAUSE_AMONG = 100
AUDIT_SHOWN = 50
# What is shown of an event as its row or its envelope has it.
SHOWN = (
    *("event_id", "source", "subject", "sequence", "lane", "owner", "recorded_at", "sent_at", "published_at"),
    *("held_at", "held_reason", "attempts", "republished", "last_error", "broker_message_id"),
    *("correlation_id", "causation_id", "size", "attributes"),
)

HELD_SUBJECTS = f"""
WITH RECURSIVE held(subject, turn) AS (
    SELECT {NEXT_HELD.format(after="$1::text")}, 1
    UNION ALL
    SELECT {NEXT_HELD.format(after="held.subject")}, held.turn + 1 FROM held
    WHERE held.turn < $2 AND held.subject IS NOT NULL
)
"""  # noqa: S608 - constants only

COUNT_HELD = f"""
-- count_held: groups that wait for a person, up to a bound{HELD_SUBJECTS}
SELECT count(held.subject) FROM held
"""  # noqa: S608 - constants only

HELD = f"""
-- held: groups that wait for a person, by subject, and why{HELD_SUBJECTS}
SELECT held.subject, coalesce(head.lane, hold.lane) AS lane, head.event_id AS head, head.sequence AS head_sequence,
       head.attributes ->> 'type' AS head_type, cause.event_id AS cause,
       coalesce(cause.held_reason, head.held_reason, 'held by ' || hold.held_by || ': ' || hold.reason, '') AS reason,
       coalesce(cause.held_at, head.held_at, hold.held_at) AS since,
       (SELECT count(*) FROM (
            (SELECT FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = held.subject LIMIT $3 + 1)
            UNION ALL
            (SELECT FROM outbox_event e WHERE e.lane = coalesce(head.lane, hold.lane) AND e.subject = held.subject
               AND e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at IS NULL LIMIT $3 + 1)
        ) AS waiting) - num_nonnulls(head.event_id) AS behind,
       EXISTS (SELECT FROM outbox_release r WHERE r.subject = held.subject) AS releasing
FROM held
LEFT JOIN outbox_hold AS hold ON hold.subject = held.subject
LEFT JOIN LATERAL (
    SELECT e.* FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = held.subject
    ORDER BY e.sequence LIMIT 1
) AS head ON true
LEFT JOIN LATERAL (
    SELECT first.event_id, first.held_reason, first.held_at FROM (
        SELECT e.event_id, e.sequence, e.held_reason, e.held_at FROM outbox_event e
        WHERE e.held_at IS NOT NULL AND e.subject = held.subject ORDER BY e.sequence LIMIT {CAUSE_AMONG}
    ) AS first
    WHERE first.held_reason NOT LIKE 'behind %' ORDER BY first.sequence LIMIT 1
) AS cause ON true
WHERE held.subject IS NOT NULL
ORDER BY held.turn
"""  # noqa: S608 - constants only

# The same for one group: a list begins behind a subject, this with it.
HELD_ONE = HELD.replace("e.subject > $1", "e.subject = $1").replace("h.subject > $1", "h.subject = $1")

# Held events are in one index and those that wait in another; both are short for any one group, or read in order.
GROUP = """
-- group: what of one group is not published yet, by sequence
SELECT g.* FROM (
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.attempts, e.last_error
     FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT $3)
    UNION ALL
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.attempts, e.last_error
     FROM outbox_event e WHERE e.lane = $2 AND e.subject = $1 AND e.published_at IS NULL AND e.held_at IS NULL
     ORDER BY e.sequence LIMIT $3)
) AS g ORDER BY g.sequence LIMIT $3
"""

OWNER = """
-- owner: who owns a lane
SELECT owner FROM outbox_lane WHERE lane = $1
"""

# A group is looked up by its source as well; there are few of those, and each is found by a step in the index.
KNOWN = """
-- known: the last event of a group that the outbox still has
WITH RECURSIVE origin(source) AS (
    (SELECT e.source FROM outbox_event e ORDER BY e.source LIMIT 1)
    UNION ALL
    SELECT (SELECT e.source FROM outbox_event e WHERE e.source > origin.source ORDER BY e.source LIMIT 1)
    FROM origin WHERE origin.source IS NOT NULL
)
SELECT max(last.sequence) AS sequence FROM origin CROSS JOIN LATERAL (
    SELECT e.sequence FROM outbox_event e WHERE e.source = origin.source AND e.subject = $1
    ORDER BY e.sequence DESC LIMIT 1
) AS last
"""

EVENT = """
-- event: one event, and who owns its lane
SELECT e.*, l.owner FROM outbox_event e JOIN outbox_lane l ON l.lane = e.lane WHERE e.event_id = $1
"""


class MessageGroups:
    """Reads, and changes nothing. Every call may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def held_groups(self, *, after: str, limit: int) -> list[HeldGroup]:
        """Held groups by subject, behind `after`."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(HELD, after, limit, BEHIND_COUNTED)
        return [_held(row) for row in rows]

    async def group(self, subject: str, lane: int, *, limit: int) -> GroupState | None:
        """What of a group waits, up to `limit` events; None when the outbox has nothing of it and nobody holds it."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(GROUP, subject, lane, limit)
            held = await connection.fetchrow(HELD_ONE, subject, 1, BEHIND_COUNTED)
            owner = await connection.fetchval(OWNER, lane)
            last: int | None = None if rows or held else await connection.fetchval(KNOWN, subject)
        if not rows and held is None:
            return None if last is None else GroupState(subject, lane, None, None, (), published_to=last)
        events = tuple(_waiting(row) for row in rows)
        return GroupState(subject, lane, owner, _held(held) if held else None, events)

    async def event(self, event_id: UUID) -> EventLife | None:
        """One event's life, from the outbox or, once discarded, from the audit; None when neither knows it."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(EVENT, event_id)
            past = await audit.history(connection, event_id, row["subject"] if row else None, limit=AUDIT_SHOWN)
        if row is not None:
            return _life(row, past.entries)
        if past.discarded is None or past.discarded_at is None:
            return None
        return _known_life(past.discarded, State.DISCARDED, past.discarded_at, past.entries)


def _held(row: asyncpg.Record) -> HeldGroup:
    return HeldGroup(
        subject=row["subject"],
        lane=row["lane"],
        head=row["head"],
        head_sequence=row["head_sequence"],
        head_type=row["head_type"] or "" if row["head"] else None,
        cause=row["cause"],
        reason=row["reason"],
        since=row["since"],
        behind=Count(min(row["behind"], BEHIND_COUNTED), row["behind"] > BEHIND_COUNTED),
        releasing=row["releasing"],
    )


def _waiting(row: asyncpg.Record) -> WaitingEvent:
    return WaitingEvent(
        event_id=row["event_id"],
        sequence=row["sequence"],
        type=_type(row),
        state=_state(row),
        recorded_at=row["recorded_at"],
        sent_at=row["sent_at"],
        held_at=row["held_at"],
        held_reason=row["held_reason"],
        attempts=row["attempts"],
        last_error=row["last_error"],
    )


def _life(row: asyncpg.Record, entries: tuple[AuditEntry, ...]) -> EventLife:
    attributes = audit.attributes_of(row["attributes"])
    envelope = row["envelope"]
    known = {**dict(row), **audit.traces(envelope), "attributes": attributes, "size": size(envelope, attributes)}
    return _known_life(known, _state(row), None, entries)


def _known_life(
    known: Mapping[str, Any], state: State, discarded_at: datetime | None, entries: tuple[AuditEntry, ...]
) -> EventLife:
    # When it was first sent and published is kept since it went again.
    firsts = {f"first_{name}": known[f"first_{name}"] or known[name] for name in ("sent_at", "published_at")}
    facts: dict[str, Any] = {**{name: known[name] for name in SHOWN}, **firsts}
    return EventLife(
        **facts, type=known["attributes"].get("type", ""), state=state, discarded_at=discarded_at, audit=entries
    )


def _type(row: asyncpg.Record) -> str:
    return audit.attributes_of(row["attributes"]).get("type", "")


def _state(row: Mapping[str, Any]) -> State:
    if row["held_at"] is not None:
        return State.HELD
    if row["published_at"] is not None:
        return State.PUBLISHED
    return State.SENT if row["sent_at"] is not None else State.RECORDED
