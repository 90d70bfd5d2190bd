"""Reads the outbox for its publisher: recorded events, the newest first.

No statement changes a row, and none uses an index that only readers need: each index of the outbox costs every event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, Row, Text, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..envelope import Envelope
from ..errors import MalformedEnvelope
from ..observability.tracing import Traceparent
from .table import outbox_audit, outbox_event

WALKED = 20_000
"""One page examines at most so many events."""

Rows: TypeAlias = Sequence[Row[Any]]
Position: TypeAlias = tuple[datetime, int]
"""When an event was recorded, and its id in the outbox."""

# The ids that a caller knows are in the envelope. It is searched as bytes, because parsing each would take long.
MATCHES = """
(CAST(:correlation AS bytea) IS NULL OR position(:correlation IN e.envelope) > 0)
AND (CAST(:causation AS bytea) IS NULL OR position(:causation IN e.envelope) > 0)
AND (CAST(:trace AS bytea) IS NULL OR position(:trace IN e.envelope) > 0)
AND (CAST(:type AS text) IS NULL OR e.attributes ->> 'type' = :type)
"""

# The index of an event's recording gives all events by time.
ALL = f"""
SELECT e.id, e.recorded_at, {MATCHES} AS matches FROM outbox_event e
WHERE (e.recorded_at, e.id) < (:at, :id) AND e.recorded_at >= :since
ORDER BY e.recorded_at DESC, e.id DESC LIMIT :walked
"""  # noqa: S608 - constants only

# The unique index on (source, subject, sequence) gives those of a subject; its sources are usually one.
OF_SUBJECT = f"""
SELECT found.* FROM unnest(ARRAY(
    WITH RECURSIVE known(source) AS (
        (SELECT e.source FROM outbox_event e ORDER BY e.source LIMIT 1)
        UNION ALL
        SELECT (SELECT e.source FROM outbox_event e WHERE e.source > known.source ORDER BY e.source LIMIT 1)
        FROM known WHERE known.source IS NOT NULL
    )
    SELECT source FROM known WHERE source IS NOT NULL
)) AS sources(source) CROSS JOIN LATERAL (
    SELECT e.id, e.recorded_at, {MATCHES} AS matches FROM outbox_event e
    WHERE e.source = sources.source AND e.subject = :subject
      AND (e.recorded_at, e.id) < (:at, :id) AND e.recorded_at >= :since
    ORDER BY e.sequence DESC LIMIT :walked
) AS found
ORDER BY found.recorded_at DESC, found.id DESC LIMIT :walked
"""  # noqa: S608 - constants only

# Matching events up to a limit, and the last examined one, from which the next page continues.
PAGE = """
-- page: the events that match among the next ones by time, the newest first, and the last that was examined
WITH walked AS MATERIALIZED ({walk})
SELECT w.id, w.recorded_at, w.matches, (SELECT count(*) FROM walked) AS walked FROM (
    (SELECT * FROM walked WHERE matches ORDER BY recorded_at DESC, id DESC LIMIT :most)
    UNION
    (SELECT * FROM walked ORDER BY recorded_at, id LIMIT 1)
) AS w ORDER BY w.recorded_at DESC, w.id DESC
"""

LARGEST_ID = 2**63 - 1
NEWEST: Position = (datetime.max.replace(tzinfo=UTC), LARGEST_ID)
EARLIEST = datetime.min.replace(tzinfo=UTC)
TYPES: dict[str, Any] = {
    **dict.fromkeys(("correlation", "causation", "trace"), LargeBinary),
    **dict.fromkeys(("at", "since"), DateTime(timezone=True)),
    **{"type": Text, "id": BigInteger, "walked": BigInteger, "most": BigInteger},
}


@dataclass(frozen=True, slots=True)
class EventCriteria:
    """Which events; None does not restrict. An envelope that another program wrote is found if it is compact JSON."""

    subject: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    trace_id: str | None = None
    type: str | None = None
    since: datetime | None = None

    @property
    def needles(self) -> dict[str, bytes | None]:
        """The bytes to find in an envelope, by parameter."""
        return {
            "correlation": _member("correlationid", self.correlation_id),
            "causation": _member("causationid", self.causation_id),
            "trace": f'"traceparent":"00-{self.trace_id}-'.encode() if self.trace_id is not None else None,
        }


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event of the outbox without its payload."""

    event_id: UUID
    source: str
    subject: str
    sequence: int
    type: str
    state: str
    recorded_at: datetime
    first_sent_at: datetime | None
    sent_at: datetime | None
    first_published_at: datetime | None
    published_at: datetime | None
    held_at: datetime | None
    held_reason: str | None
    held_behind: UUID | None
    attempts: int
    republished: int
    last_error: str | None
    correlation_id: str | None
    causation_id: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class OutboxEventPage:
    """Events, newest first, and where the next page begins; None at the end."""

    events: tuple[OutboxEvent, ...]
    following: Position | None


class RecordedEvents:
    """The events of one outbox. Every call may raise what the database raises."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], *, walked: int = WALKED) -> None:
        self._sessions = sessions
        self._walked = walked

    async def find(self, event_id: UUID) -> OutboxEvent | None:
        """The event; None if the outbox does not contain it."""
        async with self._sessions() as session:
            row = (await session.execute(select(outbox_event).where(outbox_event.c.event_id == event_id))).first()
        return _event(row) if row is not None else None

    async def envelope(self, event_id: UUID) -> dict[str, Any] | None:
        """The envelope with its payload; None if the outbox does not contain the event."""
        found = select(outbox_event.c.envelope).where(outbox_event.c.event_id == event_id)
        async with self._sessions() as session:
            body = (await session.execute(found)).scalar()
        parsed = None if body is None else json.loads(body)
        return parsed if isinstance(parsed, dict) else None

    async def is_discarded(self, event_id: UUID) -> bool:
        """Whether an operator of the outbox deleted the event."""
        audit = outbox_audit.c
        # Of the audit, a publisher's role may read these two columns only.
        discarded = select(audit.event_id).where(audit.event_id == event_id, audit.action == "discard").limit(1)
        async with self._sessions() as session:
            return (await session.execute(discarded)).first() is not None

    async def page(self, criteria: EventCriteria, *, limit: int, before: Position | None = None) -> OutboxEventPage:
        """Up to `limit` events that match, recorded before a position.

        A page examines a bounded number of events, so it may be empty although another one follows.
        """
        at, id = before or NEWEST
        given = {
            **criteria.needles,
            **{"at": at, "id": id, "walked": self._walked, "most": limit + 1},
            **{"type": criteria.type, "since": criteria.since or EARLIEST},
            **({} if criteria.subject is None else {"subject": criteria.subject}),
        }
        walk = ALL if criteria.subject is None else OF_SUBJECT
        async with self._sessions() as session:
            found = (await session.execute(_PREPARED[walk], given)).all()
            matching = [row for row in found if row.matches]
            table = outbox_event.c
            chosen = select(outbox_event).where(table.id.in_([row.id for row in matching[:limit]]))
            rows = (await session.execute(chosen.order_by(table.recorded_at.desc(), table.id.desc()))).all()
        return OutboxEventPage(tuple(map(_event, rows)), self._following(found, matching, limit))

    def _following(self, found: Rows, matching: Rows, limit: int) -> Position | None:
        if len(matching) > limit:
            last = matching[limit - 1]
        elif found and found[-1].walked >= self._walked:
            last = found[-1]
        else:
            return None
        return last.recorded_at, last.id


_PREPARED = {
    walk: text(PAGE.format(walk=walk)).bindparams(*(bindparam(name, type_=type) for name, type in TYPES.items()))
    for walk in (ALL, OF_SUBJECT)
}


def _member(name: str, value: str | None) -> bytes | None:
    """A member of an envelope as the writer serializes it."""
    return None if value is None else f'"{name}":{json.dumps(value, ensure_ascii=False)}'.encode()


def _event(row: Row[Any]) -> OutboxEvent:
    known = row._mapping
    try:
        envelope: Envelope | None = Envelope.parse(known["envelope"])
    except MalformedEnvelope:
        envelope = None
    trace = Traceparent.parse(envelope.traceparent) if envelope else None
    attributes = known["attributes"] if isinstance(known["attributes"], dict) else {}
    return OutboxEvent(
        **{name: known[name] for name in _COLUMNS},
        first_sent_at=known["first_sent_at"] or known["sent_at"],
        first_published_at=known["first_published_at"] or known["published_at"],
        type=str(attributes.get("type", "")),
        state=_state(known["held_at"], known["sent_at"], known["published_at"]),
        correlation_id=envelope.correlationid if envelope else None,
        causation_id=envelope.causationid if envelope else None,
        trace_id=trace.trace_id if trace else None,
    )


_COLUMNS = (
    *("event_id", "source", "subject", "sequence", "recorded_at", "sent_at", "published_at"),
    *("held_at", "held_reason", "held_behind", "attempts", "republished", "last_error"),
)


def _state(held_at: datetime | None, sent_at: datetime | None, published_at: datetime | None) -> str:
    if held_at is not None:
        return "held"
    if published_at is not None:
        return "published"
    return "sent" if sent_at is not None else "recorded"
