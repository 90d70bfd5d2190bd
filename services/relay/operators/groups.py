"""Looks at the groups of an outbox and at single events: what is held and why, and how far each came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.database import Pool, transaction
from shared.envelope import Envelope
from shared.errors import MalformedEnvelope
from shared.outbox.limits import size

from . import audit
from .findings import AuditEntry, Count, EventLife, GroupState, HeldGroup, State, WaitingEvent

# Bounds of what is counted and shown: a look must cost the same whatever the backlog.
GROUPS_COUNTED = 1000
BEHIND_COUNTED = 1000
# The event for which a group is held is its first, or near it: those behind it say "behind <event>".
CAUSE_AMONG = 100
AUDIT_SHOWN = 50
# What is shown of an event as its row has it.
SHOWN = (
    *("event_id", "source", "subject", "sequence", "lane", "owner", "recorded_at", "sent_at", "published_at"),
    *("held_at", "held_reason", "attempts", "republished", "last_error", "broker_message_id"),
)

HELD_SUBJECTS = """
WITH RECURSIVE held(subject, turn) AS (
    (SELECT e.subject, 1 FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject > $1
     ORDER BY e.subject LIMIT 1)
    UNION ALL
    SELECT next.subject, held.turn + 1 FROM held CROSS JOIN LATERAL (
        SELECT e.subject FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject > held.subject
        ORDER BY e.subject LIMIT 1
    ) AS next
    WHERE held.turn < $2
)
"""

COUNT_HELD = f"""
-- count_held: groups that wait for a person, up to a bound{HELD_SUBJECTS}
SELECT count(*) FROM held
"""  # noqa: S608 - constants only

HELD = f"""
-- held: groups that wait for a person, by subject, and why{HELD_SUBJECTS}
SELECT held.subject, head.lane, head.event_id AS head, head.sequence AS head_sequence,
       head.attributes ->> 'type' AS head_type, cause.event_id AS cause,
       coalesce(cause.held_reason, head.held_reason, '') AS reason, coalesce(cause.held_at, head.held_at) AS since,
       (SELECT count(*) FROM (
            (SELECT FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = held.subject LIMIT $3 + 1)
            UNION ALL
            (SELECT FROM outbox_event e WHERE e.lane = head.lane AND e.subject = held.subject
               AND e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at IS NULL LIMIT $3 + 1)
        ) AS waiting) - 1 AS behind,
       EXISTS (SELECT FROM outbox_release r WHERE r.subject = held.subject) AS releasing
FROM held
CROSS JOIN LATERAL (
    SELECT e.* FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = held.subject
    ORDER BY e.sequence LIMIT 1
) AS head
LEFT JOIN LATERAL (
    SELECT first.event_id, first.held_reason, first.held_at FROM (
        SELECT e.event_id, e.sequence, e.held_reason, e.held_at FROM outbox_event e
        WHERE e.held_at IS NOT NULL AND e.subject = held.subject ORDER BY e.sequence LIMIT {CAUSE_AMONG}
    ) AS first
    WHERE first.held_reason NOT LIKE 'behind %' ORDER BY first.sequence LIMIT 1
) AS cause ON true
ORDER BY held.turn
"""  # noqa: S608 - constants only

# The same for one group: a list begins behind a subject, this with it.
HELD_ONE = HELD.replace("e.subject > $1", "e.subject = $1")

# Held events are in one index and those that wait in another; both are short for any one group, or read in order.
GROUP = """
-- group: what of one group is not published yet, by sequence
SELECT g.*, l.owner FROM (
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.attempts, e.last_error
     FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT $3)
    UNION ALL
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.attempts, e.last_error
     FROM outbox_event e WHERE e.lane = $2 AND e.subject = $1 AND e.published_at IS NULL AND e.held_at IS NULL
     ORDER BY e.sequence LIMIT $3)
) AS g JOIN outbox_lane l ON l.lane = g.lane ORDER BY g.sequence LIMIT $3
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


class Groups:
    """Reads, and changes nothing. Every call may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def held_groups(self, *, after: str, limit: int) -> list[HeldGroup]:
        """Held groups by subject, behind `after`."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(HELD, after, limit, BEHIND_COUNTED)
        return [_held(row) for row in rows]

    async def group(self, subject: str, lane: int, *, limit: int) -> GroupState | None:
        """What of a group waits, up to `limit` events; None when the outbox has nothing of it, waiting or published."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(GROUP, subject, lane, limit)
            held = await connection.fetchrow(HELD_ONE, subject, 1, BEHIND_COUNTED)
            last: int | None = None if rows else await connection.fetchval(KNOWN, subject)
        if not rows:
            return None if last is None else GroupState(subject, lane, None, None, (), published_to=last)
        events = tuple(_waiting(row) for row in rows)
        return GroupState(subject, lane, rows[0]["owner"], _held(held) if held else None, events)

    async def event(self, event_id: UUID) -> EventLife | None:
        """One event's life, from the outbox or, once discarded, from the audit; None when neither knows it."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(EVENT, event_id)
            past = await audit.history(connection, event_id, row["subject"] if row else None, limit=AUDIT_SHOWN)
        found: Mapping[str, Any] | None = row if row is not None else past.discarded
        return _life(found, None if row is not None else past.discarded_at, past.entries) if found is not None else None


def _held(row: asyncpg.Record) -> HeldGroup:
    return HeldGroup(
        subject=row["subject"],
        lane=row["lane"],
        head=row["head"],
        head_sequence=row["head_sequence"],
        head_type=row["head_type"] or "",
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


def _life(row: Mapping[str, Any], discarded_at: datetime | None, entries: tuple[AuditEntry, ...]) -> EventLife:
    attributes: dict[str, str] = json.loads(row["attributes"])
    try:
        envelope: Envelope | None = Envelope.parse(row["envelope"])
    except MalformedEnvelope:
        envelope = None
    return EventLife(
        **{name: row[name] for name in SHOWN},
        type=_type(row),
        state=State.DISCARDED if discarded_at else _state(row),
        discarded_at=discarded_at,
        correlation_id=envelope.correlationid if envelope else None,
        causation_id=envelope.causationid if envelope else None,
        size=size(row["envelope"], attributes),
        attributes=attributes,
        audit=entries,
    )


def _type(row: Mapping[str, Any]) -> str:
    return str(json.loads(row["attributes"]).get("type", ""))


def _state(row: Mapping[str, Any]) -> State:
    if row["held_at"] is not None:
        return State.HELD
    if row["published_at"] is not None:
        return State.PUBLISHED
    return State.SENT if row["sent_at"] is not None else State.RECORDED
