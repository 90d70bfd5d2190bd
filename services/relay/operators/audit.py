"""Who changed what of an outbox, and why; what a discarded event was is kept here, but not what it said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from event_trio.database.connections import Connection, Pool, transaction
from event_trio.envelope import Envelope
from event_trio.errors import MalformedEnvelope
from event_trio.outbox.limits import size

from .views import AuditEntry

DISCARD = "discard"
# What a discarded event was, for whoever asks for that event.
ROW = "row"
# Where the payload is, which may be personal: the audit outlives it.
PAYLOAD = "envelope"
TIMES = ("recorded_at", "first_sent_at", "sent_at", "first_published_at", "published_at", "held_at")

RECORD = """
-- record: keep who did what, and why
INSERT INTO outbox_audit (actor, action, reason, subject, event_id, details) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
"""

PAGE = """
-- page: what was done, newest first, of all or about one group or event
SELECT id, at, actor, action, reason, subject, event_id, details FROM outbox_audit
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR subject = $2) AND ($3::uuid IS NULL OR event_id = $3)
ORDER BY id DESC LIMIT $4
"""

ABOUT_EVENT = """
-- about_event: what was done about an event or about the whole of its group, newest first
SELECT id, at, actor, action, reason, subject, event_id, details FROM (
    (SELECT * FROM outbox_audit WHERE event_id = $1 ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT * FROM outbox_audit WHERE subject = $2 AND event_id IS NULL ORDER BY id DESC LIMIT $3)
) AS found ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who wants something changed, and why."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    """What was done about an event, and the event itself if it was discarded."""

    entries: tuple[AuditEntry, ...]
    discarded: Mapping[str, Any] | None
    discarded_at: datetime | None


async def record(
    connection: Connection,
    action: str,
    decision: Decision,
    *,
    subject: str | None = None,
    event_id: UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Keep a change, in the transaction that makes it."""
    written = json.dumps(details or {})
    await connection.execute(RECORD, decision.actor, action, decision.reason, subject, event_id, written)


async def page(
    pool: Pool, *, before: int | None, subject: str | None, event_id: UUID | None, limit: int
) -> list[AuditEntry]:
    """What was done, newest first, before the entry of that number."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(PAGE, before, subject, event_id, limit)
    return [_entry(row) for row in rows]


async def history(connection: Connection, event_id: UUID, subject: str | None, *, limit: int) -> History:
    """What was done about an event, and about its group, if that is known."""
    rows = await connection.fetch(ABOUT_EVENT, event_id, subject, limit)
    discard = next((row for row in rows if row["action"] == DISCARD), None)
    return History(
        tuple(_entry(row) for row in rows),
        _thaw(json.loads(discard["details"])[ROW]) if discard else None,
        discard["at"] if discard else None,
    )


def freeze(row: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, Any]:
    """What a row of the outbox says of an event, as JSON: all but its payload, and what of the envelope is none."""
    envelope, attributes = row[PAYLOAD], attributes_of(row["attributes"])
    frozen: dict[str, Any] = {**traces(envelope), "attributes": attributes, "size": size(envelope, attributes)}
    for name in columns:
        value = row[name]
        if name in frozen or name == PAYLOAD:
            continue
        if isinstance(value, datetime):
            frozen[name] = value.isoformat()
        else:
            frozen[name] = str(value) if isinstance(value, UUID) else value
    return frozen


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of a row as they are shown: what somebody wrote past the writer need not be attributes at all."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # JSON that Postgres takes and Python does not: a number of ten thousand digits, or a list ten thousand deep.
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def traces(envelope: bytes) -> dict[str, str | None]:
    """To what else an event belongs, as its envelope says; of one that cannot be read nothing is known."""
    try:
        read = Envelope.parse(envelope)
    except MalformedEnvelope:
        return {"correlation_id": None, "causation_id": None}
    return {"correlation_id": read.correlationid, "causation_id": read.causationid}


def _thaw(frozen: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        # What was discarded before these were kept.
        "correlation_id": None,
        "causation_id": None,
        **frozen,
        **{name: datetime.fromisoformat(frozen[name]) if frozen.get(name) else None for name in TIMES},
        "event_id": UUID(frozen["event_id"]),
        "owner": None,
    }


def _entry(row: asyncpg.Record) -> AuditEntry:
    details = json.loads(row["details"])
    details.pop(ROW, None)
    return AuditEntry(**{**dict(row), "details": details})
