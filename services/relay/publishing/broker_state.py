"""The state of the broker: whether it can be used, what its rejections mean, and how many calls it takes at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from event_trio.circuit_breaker import CircuitBreaker, CircuitBreakerOptions, CircuitState
from event_trio.observability.runtime_metrics import watch_circuit
from event_trio.signals import Signals

from ..metrics import RelayMetrics
from .backlog import PendingEvent
from .limiter import InFlightLimit
from .outcome import (
    Accepted,
    Answered,
    BrokerMisconfigured,
    BrokerOutage,
    CallOutcome,
    CallRejected,
    NotAttempted,
    Outcome,
    Permanent,
    PossiblyPoisonous,
    Throttled,
)
from .rejection_monitor import RejectionMonitor

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallAttempt:
    """A call that has begun; `probe` marks the call that tests a broker after an outage."""

    began: float
    probe: bool
    decided: bool = False


class BrokerState:
    """Evaluates every answer of the broker. Times are monotonic seconds."""

    def __init__(self, most_in_flight: int, *, metrics: RelayMetrics, signals: Signals) -> None:
        self._breaker = CircuitBreaker(CircuitBreakerOptions())
        self._rejections = RejectionMonitor()
        self._limit = InFlightLimit(most_in_flight)
        self._metrics = metrics
        self._signals = signals
        self._shown: str | None = None
        self._lowered = False
        self._shown_limit = self._limit.current
        metrics.in_flight_limit.set(self._shown_limit)
        metrics.outage.set(0)
        watch_circuit(metrics.circuit, lambda: self._breaker.state(time.monotonic()))

    @property
    def outage(self) -> str | None:
        """Why the broker as a whole cannot be used, or None. Throttling is not an outage."""
        return self._shown

    def counts(self) -> dict[str, int]:
        """Return the sizes of what is kept in memory."""
        return {"rejections": len(self._rejections)}

    def may_call(self, now: float) -> bool:
        """Return whether a call would be allowed."""
        return self._breaker.may_call(now)

    def may_begin(self, in_flight: int, now: float) -> bool:
        """Return whether another call may begin. A broker that rejects everything gets one call at a time."""
        if self._rejections.broker_problem(now) and in_flight:
            return False
        return self._limit.may_begin(in_flight, now) and self._breaker.may_call(now)

    def begin(self, now: float) -> CallAttempt:
        """Begin a call. It must be followed by `end`, and by `evaluate` if there is an answer."""
        probe = self._breaker.state(now) is CircuitState.HALF_OPEN
        self._breaker.try_call(now)
        return CallAttempt(now, probe)

    def wake_times(self) -> list[float]:
        """Return the times at which another call may become possible."""
        return [self._breaker.next_probe_at or 0.0, self._limit.opens_at]

    def evaluate(
        self, batch: Sequence[PendingEvent], answer: CallOutcome, attempt: CallAttempt, now: float
    ) -> CallOutcome:
        """Return the answer, corrected where other answers show another cause."""
        attempt.decided = True
        match answer:
            case NotAttempted():
                self._breaker.record_inconclusive()
            case CallRejected(reason, by_broker=False):
                # The broker was not involved, so this says nothing about it.
                self._breaker.record_inconclusive()
                if len(batch) == 1:
                    answer = Answered((Permanent(reason),))
            case CallRejected(reason) if len(batch) == 1:
                self._breaker.record_success()
                answer = Answered((self._attribute(batch[0], reason, now, named=False),))
            case CallRejected():
                self._breaker.record_success()
            case Throttled():
                self._breaker.record_success()
                self._limit.answered(len(batch), len(batch), now)
            case Answered(all_accepted=True) if len(answer.outcomes) == len(batch):
                self._limit.answered(len(batch), 0, now)
                self._rejections.accepted(attempt.began)
                self._forget_rejections(batch)
                self._breaker.record_success()
            case Answered(outcomes):
                answer = self._evaluate_entries(batch, outcomes, attempt, now)
            case BrokerOutage():
                pass
        if isinstance(answer, BrokerOutage):
            self._breaker.record_failure(now, answer.reason)
        self.show(now)
        return answer

    def end(self, attempt: CallAttempt) -> None:
        """End a call; after a probe without an outcome, another call may probe."""
        if attempt.probe and not attempt.decided:
            self._breaker.record_inconclusive()

    def show(self, now: float) -> None:
        """Log changes of the state and update the metrics."""
        outage = self._breaker.reason or self._rejections.broker_problem(now)
        if outage and not self._shown:
            log.warning("the broker is unavailable; events wait", action="relay.outage", reason=outage)
            self._signals.emit("relay.outage", reason=outage)
        elif self._shown and not outage:
            log.info("the broker is available again", action="relay.recovered")
        if bool(outage) is not bool(self._shown):
            self._metrics.outage.set(1 if outage else 0)
        self._shown = outage
        if self._limit.current != self._shown_limit:
            self._shown_limit = self._limit.current
            self._metrics.in_flight_limit.set(self._shown_limit)
        if self._limit.lowered is not self._lowered:
            self._lowered = self._limit.lowered
            if self._lowered:
                log.warning("the broker throttles; fewer calls in flight", action="relay.throttled")
            else:
                log.info("the broker no longer throttles", action="relay.throttling_over")

    def _evaluate_entries(
        self, batch: Sequence[PendingEvent], outcomes: Sequence[Outcome], attempt: CallAttempt, now: float
    ) -> CallOutcome:
        if len(outcomes) != len(batch):
            return BrokerOutage(f"the broker answered for {len(outcomes)} of {len(batch)} entries")
        self._limit.answered(len(batch), sum(isinstance(outcome, Throttled) for outcome in outcomes), now)
        accepted = any(isinstance(outcome, Accepted) for outcome in outcomes)
        if accepted:
            self._rejections.accepted(attempt.began)
            self._forget_rejections(batch)
        elif misconfigured := next((o for o in outcomes if isinstance(o, BrokerMisconfigured)), None):
            return BrokerOutage(misconfigured.reason)
        self._breaker.record_success()
        if not accepted:
            outcomes = [
                self._attribute(event, o.reason, now, named=True) if isinstance(o, Permanent) else o
                for event, o in zip(batch, outcomes, strict=True)
            ]
        return Answered(tuple(outcomes))

    def _forget_rejections(self, batch: Sequence[PendingEvent]) -> None:
        if len(self._rejections):
            for event in batch:
                self._rejections.clear(event.subject)

    def _attribute(self, event: PendingEvent, reason: str, now: float, *, named: bool) -> Permanent | PossiblyPoisonous:
        is_cause = self._rejections.rejected(event.subject, event.event_id, reason, now, named=named)
        return Permanent(reason) if is_cause else PossiblyPoisonous(reason)
