"""Queries of message groups and single events: what is held and why, and the state of each event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from event_trio.database.connections import Pool, transaction
from event_trio.outbox.limits import size

from ..group_sql import HELD_GROUPS, SOURCES
from . import audit_history
from .views import AuditEntryView, CountView, EventState, GroupView, HeldGroupView, OutboxEventView, WaitingEventView

# Bounds of what is counted and shown, so that a query costs the same whatever the backlog.
GROUPS_COUNTED = 1000
BEHIND_COUNTED = 1000
# The event that caused the hold of a group is its first, or near it; the events behind it have `held_behind`.
CAUSE_AMONG = 100
AUDIT_SHOWN = 50
# The fields of an event that are shown unchanged.
SHOWN = (
    *("event_id", "source", "subject", "sequence", "lane", "owner", "recorded_at", "sent_at", "published_at"),
    *("held_at", "held_reason", "held_behind", "attempts", "republished", "last_error", "broker_message_id"),
    *("correlation_id", "causation_id", "size", "attributes"),
)

HELD = f"""
-- held: held groups by subject, and why they are held{HELD_GROUPS}
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
        SELECT e.event_id, e.sequence, e.held_reason, e.held_behind, e.held_at FROM outbox_event e
        WHERE e.held_at IS NOT NULL AND e.subject = held.subject ORDER BY e.sequence LIMIT {CAUSE_AMONG}
    ) AS first
    WHERE first.held_behind IS NULL ORDER BY first.sequence LIMIT 1
) AS cause ON true
WHERE held.subject IS NOT NULL
ORDER BY held.turn
"""  # noqa: S608 - constants only

# The same for one group: a list begins after a subject, this query with it.
HELD_ONE = HELD.replace("e.subject > $1", "e.subject = $1").replace("h.subject > $1", "h.subject = $1")

# Held events are in one index and pending events in another; both are read in the order of the group.
GROUP = """
-- group: the unpublished events of one group, by sequence
SELECT g.* FROM (
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.held_behind, e.attempts, e.last_error
     FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT $3)
    UNION ALL
    (SELECT e.event_id, e.sequence, e.lane, e.attributes, e.recorded_at, e.sent_at, e.published_at, e.held_at,
            e.held_reason, e.held_behind, e.attempts, e.last_error
     FROM outbox_event e WHERE e.lane = $2 AND e.subject = $1 AND e.published_at IS NULL AND e.held_at IS NULL
     ORDER BY e.sequence LIMIT $3)
) AS g ORDER BY g.sequence LIMIT $3
"""

OWNER = """
-- owner: the owner of a lane
SELECT owner FROM outbox_lane WHERE lane = $1
"""

KNOWN = f"""
-- known: the last event of a group in the outbox
SELECT max(last.sequence) AS sequence FROM unnest({SOURCES}) AS sources(source) CROSS JOIN LATERAL (
    SELECT e.sequence FROM outbox_event e WHERE e.source = sources.source AND e.subject = $1
    ORDER BY e.sequence DESC LIMIT 1
) AS last
"""  # noqa: S608 - constants only

EVENT = """
-- event: one event, and the owner of its lane
SELECT e.*, l.owner FROM outbox_event e JOIN outbox_lane l ON l.lane = e.lane WHERE e.event_id = $1
"""


class MessageGroups:
    """Read-only queries. Every call may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def held_groups(self, *, after: str, limit: int) -> list[HeldGroupView]:
        """Return held groups by subject, after `after`."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(HELD, after, limit, BEHIND_COUNTED)
        return [_held(row) for row in rows]

    async def group(self, subject: str, lane: int, *, limit: int) -> GroupView | None:
        """Return up to `limit` unpublished events of a group; None if it is unknown and not held."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(GROUP, subject, lane, limit)
            held = await connection.fetchrow(HELD_ONE, subject, 1, BEHIND_COUNTED)
            owner = await connection.fetchval(OWNER, lane)
            last: int | None = None if rows or held else await connection.fetchval(KNOWN, subject)
        if not rows and held is None:
            return (
                None
                if last is None
                else GroupView(subject=subject, lane=lane, owner=None, held=None, events=(), published_to=last)
            )
        events = tuple(_waiting(row) for row in rows)
        return GroupView(subject=subject, lane=lane, owner=owner, held=_held(held) if held else None, events=events)

    async def event(self, event_id: UUID) -> OutboxEventView | None:
        """Return an event from the outbox or, once discarded, from the audit; None if it is unknown."""
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(EVENT, event_id)
            past = await audit_history.history(connection, event_id, row["subject"] if row else None, limit=AUDIT_SHOWN)
        if row is not None:
            return _life(row, past.entries)
        if past.discarded is None or past.discarded_at is None:
            return None
        return _known_life(past.discarded, EventState.DISCARDED, past.discarded_at, past.entries)


def _held(row: asyncpg.Record) -> HeldGroupView:
    behind = CountView(value=min(row["behind"], BEHIND_COUNTED), at_least=row["behind"] > BEHIND_COUNTED)
    head_type = row["head_type"] or "" if row["head"] else None
    return HeldGroupView(**{**dict(row), "behind": behind, "head_type": head_type})


def _waiting(row: asyncpg.Record) -> WaitingEventView:
    return WaitingEventView(**dict(row), type=_type(row), state=_state(row))


def _life(row: asyncpg.Record, entries: tuple[AuditEntryView, ...]) -> OutboxEventView:
    attributes = audit_history.attributes_of(row["attributes"])
    envelope = row["envelope"]
    known = {
        **dict(row),
        **audit_history.traces(envelope),
        "attributes": attributes,
        "size": size(envelope, attributes),
    }
    return _known_life(known, _state(row), None, entries)


def _known_life(
    known: Mapping[str, Any], state: EventState, discarded_at: datetime | None, entries: tuple[AuditEntryView, ...]
) -> OutboxEventView:
    # Set only when an event was marked as unsent again.
    firsts = {f"first_{name}": known[f"first_{name}"] or known[name] for name in ("sent_at", "published_at")}
    facts: dict[str, Any] = {**{name: known[name] for name in SHOWN}, **firsts}
    return OutboxEventView(
        **facts, type=known["attributes"].get("type", ""), state=state, discarded_at=discarded_at, audit=entries
    )


def _type(row: asyncpg.Record) -> str:
    return audit_history.attributes_of(row["attributes"]).get("type", "")


def _state(row: Mapping[str, Any]) -> EventState:
    if row["held_at"] is not None:
        return EventState.HELD
    if row["published_at"] is not None:
        return EventState.PUBLISHED
    return EventState.SENT if row["sent_at"] is not None else EventState.RECORDED
