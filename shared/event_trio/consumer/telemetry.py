"""Says what became of deliveries: in the log, in the figures, and to whoever waits for a signal."""

from __future__ import annotations

from contextlib import AbstractContextManager

import structlog

from ..clock import Clock
from ..envelope import Envelope
from ..error_text import describe, raised_at
from ..inbox.guard import Identity
from ..signals import Signals
from .metrics import ConsumerMetrics
from .outcome import DeadLettered, Deferred, Done, Duplicate, FailurePublished, Ignored, Outcome, Retry, Unavailable
from .router import Router

log = structlog.get_logger(__name__)


class Telemetry:
    """Reports every outcome to logs, metrics and signals. `subject_name` is the log field of the event's subject."""

    def __init__(
        self, router: Router, metrics: ConsumerMetrics, signals: Signals, clock: Clock, *, subject_name: str = "subject"
    ) -> None:
        self._router = router
        self._metrics = metrics
        self._signals = signals
        self._clock = clock
        self._subject_name = subject_name

    def about(self, identity: Identity, envelope: Envelope | None = None) -> AbstractContextManager[object]:
        """Every log line inside tells which event it is about."""
        facts: dict[str, object] = {"event_id": identity.event_id, "message_id": identity.message_id}
        if envelope is not None:
            facts |= {
                "type": identity.type,
                self._subject_name: identity.subject,
                "sequence": identity.sequence,
                "correlation_id": envelope.correlationid,
            }
        return structlog.contextvars.bound_contextvars(**facts)

    def finished(self, identity: Identity, envelope: Envelope, outcome: Done, seconds: float) -> None:
        """An attempt went through; `seconds` is how long it took."""
        label = self._label(identity)
        self._metrics.process.labels(label).observe(seconds)
        latency = max(0.0, (self._clock.now() - envelope.time).total_seconds())
        if not isinstance(outcome, Duplicate | Deferred):
            self._metrics.latency.labels(label).observe(latency)
        self.settled(identity, outcome, milliseconds=round(latency * 1000, 1))

    def settled(
        self, identity: Identity, outcome: Outcome, *, error: BaseException | None = None, **facts: object
    ) -> None:
        """The outcome is committed (or was already); `error` is what brought it about."""
        self._metrics.events.labels(self._label(identity), outcome.name).inc()
        at = raised_at(error) if error is not None else None
        if isinstance(outcome, DeadLettered):
            self._metrics.dead_letters.labels(outcome.reason).inc()
            said = describe(error) if error is not None else None
            log.error("event is a dead letter", action="consumer.dead_letter", reason=outcome.reason, error=said, at=at)
        elif isinstance(outcome, Deferred):
            log.warning(
                "event put aside", action="consumer.deferred", seconds=outcome.after, error=outcome.error, at=at
            )
        elif isinstance(outcome, Ignored | FailurePublished):
            log.warning(
                "event settled without its handler",
                action="consumer.completed_without_handler",
                outcome=outcome.name,
                reason=outcome.reason,
                error=outcome.error,
                at=at,
            )
        else:
            log.info("event settled", action="consumer.completed", outcome=outcome.name, **facts)
        self._signals.emit("consumer.completed", event_id=identity.event_id, outcome=outcome.name)

    def postponed(
        self,
        identity: Identity,
        outcome: Retry | Unavailable,
        *,
        attempt: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """It will run again."""
        self._metrics.events.labels(self._label(identity), outcome.name).inc()
        if isinstance(outcome, Retry):
            log.warning(
                "handler failed, it will run again",
                action="consumer.retry_scheduled",
                attempt=attempt,
                seconds=round(outcome.after, 2),
                error=outcome.error,
                at=raised_at(error) if error is not None else None,
            )
        elif outcome.whole:
            log.debug("put off until the database is back", action="consumer.waits_for_database", error=outcome.error)
        else:
            log.info("put off: others were in the way", action="consumer.transaction_conflict", error=outcome.error)
        self._signals.emit("consumer.postponed", event_id=identity.event_id, outcome=outcome.name, error=outcome.error)

    def _label(self, identity: Identity) -> str:
        return identity.type if identity.type is not None and identity.type in self._router.types else "unknown"
