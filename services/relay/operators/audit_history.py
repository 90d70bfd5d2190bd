"""Reads the audit of an outbox, which also keeps discarded events without their payloads."""

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

from .views import AuditEntryView

DISCARD = "discard"
# The key of a discarded event's row in the details of its entry.
ROW = "row"
# Contains the payload, which may be personal data and must not outlive the event.
PAYLOAD = "envelope"
TIMES = ("recorded_at", "first_sent_at", "sent_at", "first_published_at", "published_at", "held_at")

PAGE = """
-- page: entries, newest first, of all or about one group or event
SELECT id, at, actor, action, reason, subject, event_id, details FROM outbox_audit
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR subject = $2) AND ($3::uuid IS NULL OR event_id = $3)
ORDER BY id DESC LIMIT $4
"""

ABOUT_EVENT = """
-- about_event: entries about an event or about its whole group, newest first
SELECT id, at, actor, action, reason, subject, event_id, details FROM (
    (SELECT * FROM outbox_audit WHERE event_id = $1 ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT * FROM outbox_audit WHERE subject = $2 AND event_id IS NULL ORDER BY id DESC LIMIT $3)
) AS found ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class History:
    """The entries about an event, and the event itself if it was discarded."""

    entries: tuple[AuditEntryView, ...]
    discarded: Mapping[str, Any] | None
    discarded_at: datetime | None


async def page(
    pool: Pool, *, before: int | None, subject: str | None, event_id: UUID | None, limit: int
) -> list[AuditEntryView]:
    """Return entries, newest first, before the entry of that number."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(PAGE, before, subject, event_id, limit)
    return [_entry(row) for row in rows]


async def history(connection: Connection, event_id: UUID, subject: str | None, *, limit: int) -> History:
    """Return the entries about an event, and about its group if known."""
    rows = await connection.fetch(ABOUT_EVENT, event_id, subject, limit)
    discard = next((row for row in rows if row["action"] == DISCARD), None)
    return History(
        tuple(_entry(row) for row in rows),
        _thaw(json.loads(discard["details"])[ROW]) if discard else None,
        discard["at"] if discard else None,
    )


def freeze(row: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, Any]:
    """Return an event's row as JSON without its payload, with the tracing fields and the size of its envelope."""
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
    """Return the attributes of a row as text; a row not written by the writer may have none, or other values."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # JSON that Postgres accepts and Python does not, such as a number of ten thousand digits, or deep nesting.
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def traces(envelope: bytes) -> dict[str, str | None]:
    """Return the correlation and causation ids of an envelope; None for each if it cannot be parsed."""
    try:
        read = Envelope.parse(envelope)
    except MalformedEnvelope:
        return {"correlation_id": None, "causation_id": None}
    return {"correlation_id": read.correlationid, "causation_id": read.causationid}


def _thaw(frozen: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        # Entries written before these fields existed.
        "correlation_id": None,
        "causation_id": None,
        "held_behind": None,
        **frozen,
        **{name: datetime.fromisoformat(frozen[name]) if frozen.get(name) else None for name in TIMES},
        "event_id": UUID(frozen["event_id"]),
        "owner": None,
    }


def _entry(row: asyncpg.Record) -> AuditEntryView:
    details = json.loads(row["details"])
    details.pop(ROW, None)
    return AuditEntryView(**{**dict(row), "details": details})
