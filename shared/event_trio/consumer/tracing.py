"""The span of an attempt to process an event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..inbox.delivery import Delivery
from ..observability import conventions
from ..observability.spans import Kind, Span, Tracer, active, sampled


@contextmanager
def processing(tracing: Tracer, delivery: Delivery, *, system: str, queue: str) -> Iterator[Span]:
    """The span of one attempt: the current span, a child of the one in which the event was recorded or linked to it."""
    event = delivery.event
    recorded = event.envelope.traceparent if event.envelope is not None else None
    attributes: dict[str, str | int | bool] = {
        **conventions.messaging(system, conventions.PROCESS, queue),
        conventions.CONSUMER: delivery.consumer,
        conventions.MESSAGE_ID: delivery.message_id,
        conventions.EVENT_ID: event.id,
        conventions.ATTEMPT: delivery.failures + 1,
        conventions.DEFERRED: delivery.is_recorded,
    }
    if event.type is not None:
        attributes[conventions.EVENT_TYPE] = event.type
    if event.correlation_id is not None:
        attributes[conventions.CONVERSATION_ID] = event.correlation_id
    # Of a trace that is not sampled nothing is recorded, whatever the setting.
    links = [found] if not tracing.continues and (found := sampled(recorded)) is not None else []
    parent = None if links else recorded
    name = f"{conventions.PROCESS} {queue}"
    with active(tracing, name, Kind.CONSUMER, parent=parent, links=links, attributes=attributes) as span:
        yield span
