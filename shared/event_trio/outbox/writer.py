"""Records an event in the caller's transaction: it exists if and only if that transaction commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from ..contracts.payload import EventPayload
from ..contracts.schema import SCHEMAS_URL, schema_path
from ..envelope import Envelope, sequence_text, uuid7
from ..observability.spans import tracer
from .limits import DEFAULT_BYTES, check
from .tracing import created

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

log = structlog.get_logger(__name__)

References = Callable[[str, str, int], str | None]
"""The URL of an event's payload by type, subject and sequence; None if the event contains its payload."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as a row of the table `outbox_event`."""

    event: Envelope
    sequence: int
    body: bytes
    """The event as it is sent."""
    attributes: Mapping[str, str]
    """The message attributes, by which subscriptions filter."""

    def columns(self) -> dict[str, object]:
        """The values by column; the database fills in the others."""
        return {
            "event_id": self.event.id,
            "source": self.event.source,
            "subject": self.event.subject,
            "sequence": self.sequence,
            "envelope": self.body,
            "attributes": self.attributes,
        }


class OutboxWriter:
    """Writes events of one source into the outbox, in the caller's transaction. It never commits."""

    def __init__(
        self,
        source: str,
        *,
        schemas: str = SCHEMAS_URL,
        references: References = lambda type, subject, sequence: None,
        most_bytes: int = DEFAULT_BYTES,
    ) -> None:
        """`source` identifies the publisher; sequences are unique per source and subject.

        `schemas` is the URL with which `dataschema` begins; the type and the version of the payload follow. A service
        serves its schemas there; consumers do not fetch them. `most_bytes` is the largest event, attributes included:
        the topic's `MaximumMessageSize`.
        """
        self._source = source
        self._most_bytes = most_bytes
        self._schemas = schemas.rstrip("/")
        self._references = references

    async def record(
        self,
        session: AsyncSession | AsyncConnection,
        payload: EventPayload,
        *,
        subject: str,
        sequence: int,
        correlation_id: str,
        causation_id: str | None = None,
        traceparent: str | None = None,
        time: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Envelope:
        """Record that `payload` happened to `subject`, as its event with this `sequence`.

        The sequence is at least 1 and is used once per source and subject. Within a subject it must increase in the
        order of commits; gaps are allowed. A version column ensures this if the caller holds the lock of the
        aggregate's row, or has checked its version.

        Raises EventRejected if the broker would not accept the event; IntegrityError if the sequence is already used.
        """
        row = self.prepare(
            payload,
            subject=subject,
            sequence=sequence,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
            time=time,
            attributes=attributes,
        )
        # A relay imports this package, and needs no SQLAlchemy.
        from sqlalchemy import insert

        from .table import outbox_event

        await session.execute(insert(outbox_event).values(**row.columns()))
        self.log_recorded(row)
        return row.event

    def prepare(
        self,
        payload: EventPayload,
        *,
        subject: str,
        sequence: int,
        correlation_id: str,
        causation_id: str | None = None,
        traceparent: str | None = None,
        time: datetime | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> EventRow:
        """The row that `record` inserts, for a caller who inserts it with a statement of its own.

        Nothing is recorded: the event exists when the row is committed in the table `outbox_event`. The arguments are
        those of `record`. Raises EventRejected.
        """
        reference = self._references(payload.type, subject, sequence)
        event_id = uuid7()
        if (tracing := tracer()) is not None:
            traceparent = created(tracing, traceparent, self._source, payload.type, event_id)
        event = Envelope(
            id=event_id,
            source=self._source,
            type=payload.type,
            subject=subject,
            time=time or datetime.now(UTC),
            dataschema=f"{self._schemas}/{schema_path(type(payload))}",
            partitionkey=subject,
            sequence=sequence_text(sequence),
            correlationid=correlation_id,
            causationid=causation_id,
            traceparent=traceparent,
            data=payload.model_dump(mode="json") if reference is None else None,
            dataref=reference,
        )
        body = event.to_bytes()
        # The attributes that subscriptions filter by; everything else is in the body.
        routing = {"type": payload.type, **(attributes or {})}
        check(body, group=subject, attributes=routing, most=self._most_bytes)
        return EventRow(event, sequence, body, routing)

    def log_recorded(self, row: EventRow) -> None:
        """Log that the row was inserted, as `record` does."""
        log.info(
            "event recorded",
            action="outbox.recorded",
            event_id=str(row.event.id),
            type=row.event.type,
            subject=row.event.subject,
            sequence=row.sequence,
        )
