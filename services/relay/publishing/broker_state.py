"""What is known of the broker: whether it can be used, whom its refusals blame, and how much it takes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from event_trio.circuit_breaker import CircuitBreaker, CircuitBreakerOptions, CircuitState
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
    """A call that was begun, when, and whether it is the one that tries a broker that was away."""

    began: float
    probe: bool
    decided: bool = False


class BrokerState:
    """Judges every answer of the broker. Times are monotonic seconds."""

    def __init__(self, most_in_flight: int, *, metrics: RelayMetrics, signals: Signals) -> None:
        self._breaker = CircuitBreaker(CircuitBreakerOptions())
        self._rejections = RejectionMonitor()
        self._limit = InFlightLimit(most_in_flight)
        self._metrics = metrics
        self._signals = signals
        self._shown: str | None = None
        self._lowered = False
        metrics.in_flight_limit.set(self._limit.current)
        metrics.outage.set(0)

    @property
    def outage(self) -> str | None:
        """Why the broker as a whole cannot be used, or None; throttling is no reason."""
        return self._shown

    def counts(self) -> dict[str, int]:
        """The sizes of what is kept."""
        return {"rejections": len(self._rejections)}

    def may_call(self, now: float) -> bool:
        """Whether a call would be allowed, without beginning one."""
        return self._breaker.may_call(now)

    def may_begin(self, in_flight: int, now: float) -> bool:
        """Whether another call may begin. A broker that refuses everything is asked one thing at a time."""
        if self._rejections.broker_problem(now) and in_flight:
            return False
        return self._limit.may_begin(in_flight, now) and self._breaker.may_call(now)

    def begin(self, now: float) -> CallAttempt:
        """A call begins; it is to come back to `evaluate` or `end`."""
        probe = self._breaker.state(now) is CircuitState.HALF_OPEN
        self._breaker.try_call(now)
        return CallAttempt(now, probe)

    def wake_times(self) -> list[float]:
        """When it may be worth looking again."""
        return [self._breaker.next_probe_at or 0.0, self._limit.opens_at]

    def evaluate(
        self, batch: Sequence[PendingEvent], answer: CallOutcome, attempt: CallAttempt, now: float
    ) -> CallOutcome:
        """What follows from the answer: the same, or another where it is not what it seems."""
        attempt.decided = True
        match answer:
            case NotAttempted():
                self._breaker.record_inconclusive()
            case CallRejected(reason, by_broker=False):
                # The broker was never asked, so it is not judged either.
                self._breaker.record_inconclusive()
                if len(batch) == 1:
                    answer = Answered((Permanent(reason),))
            case CallRejected(reason) if len(batch) == 1:
                self._breaker.record_success()
                answer = Answered((self._weigh(batch[0], reason, now, named=False),))
            case CallRejected():
                self._breaker.record_success()
            case Throttled():
                self._breaker.record_success()
                self._limit.answered(len(batch), len(batch), now)
            case Answered(outcomes):
                answer = self._evaluate_entries(batch, outcomes, attempt, now)
            case BrokerOutage():
                pass
        if isinstance(answer, BrokerOutage):
            self._breaker.record_failure(now, answer.reason)
        self.show(now)
        return answer

    def broke(self, reason: str, attempt: CallAttempt, now: float) -> None:
        """Something of our own failed over this call: that is waited out like an outage, and shows like one."""
        attempt.decided = True
        self._breaker.record_failure(now, reason)
        self.show(now)

    def end(self, attempt: CallAttempt) -> None:
        """The call is over, whatever came of it; a probe without an outcome lets another one try."""
        if attempt.probe and not attempt.decided:
            self._breaker.record_inconclusive()

    def show(self, now: float) -> None:
        """Say what has changed, and keep the figures."""
        outage = self._breaker.reason or self._rejections.broker_problem(now)
        if outage and not self._shown:
            log.warning("the broker cannot be used; events wait", action="relay.outage", reason=outage)
            self._signals.emit("relay.outage", reason=outage)
        elif self._shown and not outage:
            log.info("the broker can be used again", action="relay.recovered")
        self._shown = outage
        self._metrics.outage.set(1 if outage else 0)
        self._metrics.in_flight_limit.set(self._limit.current)
        if self._limit.lowered is not self._lowered:
            self._lowered = self._limit.lowered
            if self._lowered:
                log.warning("the broker throttles; fewer calls at once", action="relay.throttled")
            else:
                log.info("the broker no longer throttles", action="relay.throttling_over")

    def _evaluate_entries(
        self, batch: Sequence[PendingEvent], outcomes: Sequence[Outcome], attempt: CallAttempt, now: float
    ) -> CallOutcome:
        if len(outcomes) != len(batch):
            return BrokerOutage(f"the broker answered for {len(outcomes)} of {len(batch)} entries")
        self._limit.answered(len(batch), sum(isinstance(outcome, Throttled) for outcome in outcomes), now)
        accepted = [event for event, o in zip(batch, outcomes, strict=True) if isinstance(o, Accepted)]
        if accepted:
            self._rejections.accepted(attempt.began)
            for event in batch:
                self._rejections.clear(event.subject)
        elif blocked := next((o for o in outcomes if isinstance(o, BrokerMisconfigured)), None):
            return BrokerOutage(blocked.reason)
        self._breaker.record_success()
        if not accepted:
            outcomes = [
                self._weigh(event, o.reason, now, named=True) if isinstance(o, Permanent) else o
                for event, o in zip(batch, outcomes, strict=True)
            ]
        return Answered(tuple(outcomes))

    def _weigh(self, event: PendingEvent, reason: str, now: float, *, named: bool) -> Permanent | PossiblyPoisonous:
        guilty = self._rejections.rejected(event.subject, event.event_id, reason, now, named=named)
        return Permanent(reason) if guilty else PossiblyPoisonous(reason)
