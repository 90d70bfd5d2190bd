"""The exemplar of a batch of confirmations: the slowest event whose trace is sampled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from event_trio.broker.source import Message
from event_trio.observability.spans import exemplar, traceparent_in, tracer

from ..publishing.outbox_updates import Confirmation, Publication


def slowest_traced(
    published: Sequence[Publication], messages: Iterable[tuple[Message, Confirmation | None]]
) -> tuple[Publication, dict[str, str]] | None:
    """Return the slowest traced event and the exemplar that leads to its trace; None if none is traced."""
    if tracer() is None or not published:
        return None
    bodies = {confirmation.event_id: message.body for message, confirmation in messages if confirmation is not None}
    for publication in sorted(published, key=lambda each: each.since_recorded, reverse=True):
        found = exemplar(traceparent_in(bodies.get(publication.event_id, "")))
        if found is not None:
            return publication, found
    return None
