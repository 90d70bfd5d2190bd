"""Reports the outcomes of deliveries to logs, metrics and signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from types import TracebackType
from typing import Any

import structlog
from prometheus_client import Counter, Histogram
from structlog.contextvars import bind_contextvars, reset_contextvars

from ..clock import Clock
from ..error_text import describe, raised_at
from ..inbox.delivery import Delivery
from ..observability.conventions import OUTCOME, SQS
from ..observability.spans import Tracer, current, exemplar, tracer
from ..observability.tracing import trace_id_of
from ..signals import Signals
from .metrics import ConsumerMetrics
from .outcome import (
    Completed,
    DeadLettered,
    Deferred,
    Duplicate,
    FailurePublished,
    Handled,
    Ignored,
    Outcome,
    RetryScheduled,
    Skipped,
    Unavailable,
)
from .router import Router
from .tracing import processing

log = structlog.get_logger(__name__)


class Telemetry:
    """Reports every outcome. `subject_name` is the log field of the event's subject."""

    def __init__(
        self,
        router: Router,
        metrics: ConsumerMetrics,
        signals: Signals,
        clock: Clock,
        *,
        subject_name: str = "subject",
        queue: str = "",
        system: str = SQS,
    ) -> None:
        """`queue` is the name of the queue, and `system` the kind of its broker, for the spans."""
        self._router = router
        self._metrics = metrics
        self._signals = signals
        self._clock = clock
        self._subject_name = subject_name
        self._queue = queue
        self._system = system
        # A metric with labels is looked up once: the look-up costs more than the change.
        self._counters: dict[tuple[str, str], Counter] = {}
        self._durations: dict[str, Histogram] = {}
        self._latencies: dict[str, Histogram] = {}

    def about(self, delivery: Delivery) -> AbstractContextManager[object]:
        """In the context, every log line has the fields of the event, and the attempt has a span."""
        if (tracing := tracer()) is None:
            return self._fields(delivery, _recorded_in(delivery))
        return self._traced(tracing, delivery)

    @contextmanager
    def _traced(self, tracing: Tracer, delivery: Delivery) -> Iterator[None]:
        with (
            processing(tracing, delivery, system=self._system, queue=self._queue or delivery.consumer) as span,
            self._fields(delivery, span.traceparent),
        ):
            yield

    def _fields(self, delivery: Delivery, traceparent: str | None) -> AbstractContextManager[object]:
        event = delivery.event
        fields: dict[str, object] = {"event_id": event.id, "message_id": delivery.message_id}
        if event.type is not None:
            fields |= {
                "type": event.type,
                self._subject_name: event.subject,
                "sequence": event.sequence,
                "correlation_id": event.correlation_id,
            }
        if (trace_id := trace_id_of(traceparent)) is not None:
            fields["trace_id"] = trace_id
        return LogFields(fields)

    def finished(self, delivery: Delivery, outcome: Completed, seconds: float) -> None:
        """An attempt succeeded; `seconds` is how long it took."""
        label, time = self._label(delivery), delivery.event.time
        if (durations := self._durations.get(label)) is None:
            durations = self._durations[label] = self._metrics.process.labels(label)
        durations.observe(seconds)
        if time is None:
            self.completed(delivery, outcome)
            return
        latency = max(0.0, (self._clock.now() - time).total_seconds())
        if not isinstance(outcome, Duplicate | Deferred):
            if (latencies := self._latencies.get(label)) is None:
                latencies = self._latencies[label] = self._metrics.latency.labels(label)
            latencies.observe(latency, exemplar(current().traceparent))
        self.completed(delivery, outcome, milliseconds=round(latency * 1000, 1))

    def completed(
        self, delivery: Delivery, outcome: Outcome, *, error: BaseException | None = None, **fields: object
    ) -> None:
        """The outcome is committed; `error` is its cause."""
        _annotate(outcome, error)
        self._count(delivery, outcome)
        at = raised_at(error) if error is not None else None
        if isinstance(outcome, DeadLettered):
            self._metrics.dead_letters.labels(outcome.reason).inc()
            cause = describe(error) if error is not None else None
            log.error(
                "event is a dead letter", action="consumer.dead_letter", reason=outcome.reason, error=cause, at=at
            )
        elif isinstance(outcome, Deferred):
            log.warning("event deferred", action="consumer.deferred", seconds=outcome.after, error=outcome.error, at=at)
        elif isinstance(outcome, Ignored | FailurePublished):
            log.warning(
                "event completed without its handler",
                action="consumer.completed_without_handler",
                outcome=outcome.name,
                reason=outcome.reason,
                error=outcome.error,
                at=at,
            )
        else:
            log.info("event completed", action="consumer.completed", outcome=outcome.name, **fields)
        self._signals.emit("consumer.completed", event_id=delivery.event.id, outcome=outcome.name)

    def postponed(
        self,
        delivery: Delivery,
        outcome: RetryScheduled | Unavailable,
        *,
        attempt: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """The event runs again."""
        _annotate(outcome, error)
        self._count(delivery, outcome)
        if isinstance(outcome, RetryScheduled):
            log.warning(
                "handler failed and runs again",
                action="consumer.retry_scheduled",
                attempt=attempt,
                seconds=round(outcome.after, 2),
                error=outcome.error,
                at=raised_at(error) if error is not None else None,
            )
        elif outcome.whole:
            log.debug("waiting for the database", action="consumer.waits_for_database", error=outcome.error)
        else:
            log.info("transaction conflicted", action="consumer.transaction_conflict", error=outcome.error)
        event_id = delivery.event.id
        self._signals.emit("consumer.postponed", event_id=event_id, outcome=outcome.name, error=outcome.error)

    def _count(self, delivery: Delivery, outcome: Outcome) -> None:
        labels = (self._label(delivery), outcome.name)
        if (counter := self._counters.get(labels)) is None:
            counter = self._counters[labels] = self._metrics.events.labels(*labels)
        counter.inc()

    def _label(self, delivery: Delivery) -> str:
        event_type = delivery.event.type
        return event_type if event_type is not None and event_type in self._router.types else "unknown"


def _recorded_in(delivery: Delivery) -> str | None:
    envelope = delivery.event.envelope
    return envelope.traceparent if envelope is not None else None


def _annotate(outcome: Outcome, error: BaseException | None) -> None:
    """Note the outcome on the span of the attempt; one that waits for its group has not failed."""
    span = current()
    span.set({OUTCOME: outcome.name})
    is_blocked = isinstance(outcome, Deferred) and outcome.after is None
    if not is_blocked and (error is not None or not isinstance(outcome, Handled | Duplicate | Skipped | Deferred)):
        span.fail(type(error).__name__ if error is not None else outcome.name)


class LogFields(AbstractContextManager[None]):
    """Fields of every log line in the context."""

    __slots__ = ("_fields", "_tokens")

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields
        self._tokens: Mapping[str, Token[Any]] = {}

    def __enter__(self) -> None:
        self._tokens = bind_contextvars(**self._fields)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        reset_contextvars(**self._tokens)
