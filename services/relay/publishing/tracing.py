"""The spans of sending, one for each call and one for each event in the event's trace, and the ids for log lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager

from event_trio.broker.publisher import OutgoingEvent
from event_trio.observability import conventions
from event_trio.observability.spans import Kind, Span, Tracer, traceparent_in
from event_trio.observability.tracing import trace_id_of

from .outcome import Accepted, Answered, CallOutcome, NotAttempted, label_of
from .pending_event import PendingEvent


def trace_of(event: PendingEvent) -> dict[str, str]:
    """Return the ids of the event's business transaction and trace, for the log lines of failures."""
    try:
        envelope = json.loads(event.body)
        found = {"correlation_id": envelope.get("correlationid"), "trace_id": trace_id_of(envelope.get("traceparent"))}
    except (ValueError, AttributeError, TypeError):
        # Whatever is in the row, the failure is logged.
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


class SendSpans:
    """The spans of one call. Events of traces that are not sampled have none.

    The envelope is never changed: subscribers get the context in which the event was recorded.
    """

    def __init__(
        self,
        tracer: Tracer,
        topic: str,
        events: Sequence[OutgoingEvent],
        began: int,
        *,
        system: str = conventions.SNS,
    ) -> None:
        """`began` is when the call begins, in nanoseconds since the epoch; `system` is the kind of broker."""
        self._tracer = tracer
        self._system = system
        self._topic = topic
        self._began = began
        self._events = events
        self._contexts = [traceparent_in(event.body) for event in events]

    def quiet(self) -> AbstractContextManager[object]:
        """Let no instrumentation of the SDK add its own context to the messages in the block."""
        return self._tracer.suppress()

    def answered(self, answer: CallOutcome) -> None:
        """Make the spans of a call that was made."""
        links = [context for context in self._contexts if context is not None]
        if not links or isinstance(answer, NotAttempted):
            return
        common = conventions.messaging(self._system, conventions.SEND, self._topic)
        name = f"{conventions.SEND} {self._topic}"
        batch = self._tracer.begin(
            name,
            Kind.CLIENT,
            links=links,
            attributes={**common, conventions.BATCH_COUNT: len(self._events)},
            at=self._began,
        )
        if not isinstance(answer, Answered):
            batch.fail(label_of(answer))
        outcomes = answer.outcomes if isinstance(answer, Answered) else (answer,) * len(self._events)
        for event, context, outcome in zip(self._events, self._contexts, outcomes, strict=False):
            if context is None:
                continue
            span = self._tracer.begin(
                name,
                Kind.CLIENT,
                parent=context,
                links=[batch.traceparent],
                attributes={**common, conventions.EVENT_ID: event.event_id, conventions.REPUBLISHED: event.republished},
                at=self._began,
            )
            _finish(span, outcome)
        batch.end()


def _finish(span: Span, outcome: object) -> None:
    if isinstance(outcome, Accepted):
        span.set({conventions.MESSAGE_ID: outcome.message_id})
    else:
        span.fail(type(outcome).__name__)
    span.end()
