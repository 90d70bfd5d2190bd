"""The span of an event that is recorded: the context that the event carries from then on."""

from __future__ import annotations

from uuid import UUID

from ..observability import conventions
from ..observability.spans import Kind, Tracer


def created(tracer: Tracer, traceparent: str | None, source: str, type: str, event_id: UUID) -> str:
    """Make the span of a created message, and return its traceparent.

    It is a child of the current span (the request, or the handler that causes the event), else of `traceparent`.
    """
    attributes = {
        **conventions.messaging(conventions.OUTBOX, conventions.CREATE, "outbox"),
        conventions.EVENT_ID: str(event_id),
        conventions.EVENT_SOURCE: source,
        conventions.EVENT_TYPE: type,
    }
    span = tracer.begin(
        f"{conventions.CREATE} {type}",
        Kind.PRODUCER,
        parent=tracer.current().traceparent or traceparent,
        attributes=attributes,
    )
    span.end()
    return span.traceparent
