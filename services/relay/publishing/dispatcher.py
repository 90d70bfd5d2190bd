"""The relay's work in single steps: read, take, settle, record; without a loop, and waiting for the database only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from event_trio import failpoints
from event_trio.backoff import Backoff
from event_trio.clock import Clock
from event_trio.database.connections import DATABASE_FAULTS

from ..metrics import RelayMetrics
from .backlog import Backlog, PendingEvent
from .outbox_reader import WINDOW, OutboxPage, OutboxReader
from .outbox_updates import Acknowledgement, Failure, OutboxUpdates
from .outcome import (
    Accepted,
    Answered,
    BrokerMisconfigured,
    BrokerOutage,
    CallOutcome,
    CallRejected,
    NotAttempted,
    Permanent,
    PossiblyPoisonous,
    Throttled,
    Transient,
)

log = structlog.get_logger(__name__)

GROUP = Backoff(first=0.2, factor=2, cap=60.0, jitter=0.5)
# Nobody knows yet who is to blame: it goes again soon, and then less and less often.
POSSIBLY_POISONOUS = Backoff(first=0.2, factor=2, cap=30.0, jitter=0.5)
# It is in the limit of calls in flight that a broker which throttles is spared; the group need not wait long for it.
THROTTLED = Backoff(first=0.01, factor=2, cap=2.0, jitter=0.5)
# Held for good: its group is read again only to find that it is held, or that somebody decided.
HELD = Backoff(first=1.0, factor=1, cap=1.0, jitter=0.5)
ERROR_CHARACTERS = 500


class OwnedLanes(Protocol):
    """What the dispatcher asks of the lanes."""

    def owned(self) -> list[int]:
        """The lanes that may be worked on now."""
        ...

    def may_send(self, lane: int) -> bool:
        """Whether a call for this lane may begin now."""
        ...

    def owns(self, lane: int) -> bool:
        """Whether the lane is still ours."""
        ...

    def token(self, lane: int) -> int:
        """The token under which it is."""
        ...


@dataclass(frozen=True, slots=True)
class AcknowledgedEvent:
    """An event that the broker acknowledged, and when, in monotonic seconds; it is still to be recorded."""

    event: PendingEvent
    message_id: str
    at: float


@dataclass(frozen=True, slots=True)
class CallResult:
    """What is to be written down after a call: acknowledgements, and failures (see `note`)."""

    receipts: list[AcknowledgedEvent]
    failed: list[tuple[PendingEvent, Transient | Permanent]]


class Dispatcher:
    """Carries events of our lanes: takes heads of groups only, and records only what was acknowledged."""

    def __init__(
        self,
        *,
        reader: OutboxReader,
        updates: OutboxUpdates,
        lanes: OwnedLanes,
        backlog: Backlog,
        clock: Clock,
        metrics: RelayMetrics,
    ) -> None:
        self._reader = reader
        self._updates = updates
        self._lanes = lanes
        self._backlog = backlog
        self._clock = clock
        self._metrics = metrics

    async def read(self) -> OutboxPage:
        """Read heads of groups into the backlog; raises what the database raises."""
        now = self._clock.monotonic()
        reading = await self._reader.read(self._lanes.owned(), excluded=self._backlog.excluded(now))
        ours = (event for event in reading.events if self._lanes.may_send(event.lane))
        self._backlog.load(ours, read_at=now, window=WINDOW)
        self._metrics.reads.inc()
        return reading

    def drop_lanes(self, lanes: Iterable[int]) -> None:
        """These lanes are another relay's now: what waits in them is no longer ours to send."""
        self._backlog.drop(lanes)

    def take(self) -> list[PendingEvent]:
        """The next batch to send; empty when nothing may go."""
        return self._backlog.take(self._lanes.may_send, self._clock.monotonic())

    def take_unsendable(self) -> CallResult | None:
        """Events that came to their turn and that the broker cannot carry, to be noted; None when there are none."""
        found = self._backlog.take_unsendable()
        return CallResult([], [(event, Permanent(event.fault or "")) for event in found]) if found else None

    def apply(self, batch: Sequence[PendingEvent], answer: CallOutcome) -> CallResult:
        """Draw the conclusions from the broker's answer. What failed stays in hand until it is noted."""
        result = CallResult([], [])
        now = self._clock.monotonic()
        match answer:
            case Answered(outcomes):
                if any(isinstance(outcome, Accepted) for outcome in outcomes):
                    failpoints.hit("relay.acknowledged")
                for event, outcome in zip(batch, outcomes, strict=True):
                    match outcome:
                        case Accepted(message_id):
                            self._backlog.accepted(event)
                            result.receipts.append(AcknowledgedEvent(event, message_id, now))
                        case Transient() | Permanent():
                            result.failed.append((event, outcome))
                        case Throttled():
                            self._throttle(event, now)
                        case PossiblyPoisonous(reason) | BrokerMisconfigured(reason):
                            self._isolate(event, reason, now)
                        case _:
                            assert_never(outcome)
            case Throttled():
                for event in batch:
                    self._throttle(event, now)
            case CallRejected(reason):
                log.warning("batch refused; its events go one by one", action="relay.batch_rejected", reason=reason)
                for event in batch:
                    self._backlog.isolate(event)
            case BrokerOutage() | NotAttempted():
                for event in batch:
                    self._backlog.requeue(event)
                # Whatever is true of the outbox now, it may not be what was read before.
                self._backlog.clear()
            case _:
                assert_never(answer)
        self._backlog.drop({event.lane for event in batch if not self._lanes.owns(event.lane)})
        return result

    def abandon(self, events: Iterable[PendingEvent]) -> bool:
        """Put down what nobody came to an end with; True if there was any."""
        return sum(self._backlog.abandon(event) for event in events) > 0

    def reset(self) -> None:
        """Forget everything in hand: it is read again."""
        self._backlog.reset()

    async def record_acknowledgements(self, receipts: Sequence[AcknowledgedEvent]) -> None:
        """Record acknowledgements; raises what the database raises, and may then be repeated."""
        now = self._clock.monotonic()
        waited = await self._updates.mark_sent(
            [Acknowledgement(r.event.id, r.event.republished, r.message_id, now - r.at) for r in receipts]
        )
        for seconds in waited:
            self._metrics.recorded_to_sent.observe(seconds)
        for receipt in receipts:
            self._backlog.recorded(receipt.event)
            self._count(receipt.event, "accepted")

    async def record_failures(self, failed: Sequence[tuple[PendingEvent, Transient | Permanent]]) -> None:
        """The groups of these wait, or are held; the error is kept where a person can see it."""
        if not failed:
            return
        passing: list[Failure] = []
        for_good: list[Failure] = []
        for event, outcome in failed:
            failure = Failure(event.id, self._lanes.token(event.lane), outcome.reason[:ERROR_CHARACTERS])
            permanent = isinstance(outcome, Permanent)
            (for_good if permanent else passing).append(failure)
            self._count(event, "permanent" if permanent else "transient")
            log.warning(
                "event refused for good; its group is held" if permanent else "event not accepted; its group waits",
                action="relay.held" if permanent else "relay.not_accepted",
                event_id=event.event_id,
                subject=event.subject,
                reason=failure.error,
            )
        try:
            if passing:
                await self._updates.mark_failed(passing)
            if for_good:
                await self._updates.mark_held(for_good)
        except DATABASE_FAULTS as error:
            # Not noted is not lost: the event is read, tried and refused once more.
            log.warning("cannot note failures", action="relay.failures_not_recorded", error=type(error).__name__)
        except Exception:
            log.exception("cannot note failures", action="relay.failures_not_recorded")
        finally:
            now = self._clock.monotonic()
            for event, outcome in failed:
                self._backlog.failed(event, now, HELD if isinstance(outcome, Permanent) else GROUP)
            self._metrics.waiting_groups.set(self._backlog.backing_off)

    def _throttle(self, event: PendingEvent, now: float) -> None:
        self._count(event, "throttled")
        self._backlog.throttled(event, now, THROTTLED)

    def _isolate(self, event: PendingEvent, reason: str, now: float) -> None:
        self._count(event, "rejected")
        log.warning(
            "event refused, and nothing shows yet whether it is to blame; it goes again alone",
            action="relay.event_rejected",
            event_id=event.event_id,
            subject=event.subject,
            reason=reason[:ERROR_CHARACTERS],
        )
        self._backlog.failed(event, now, POSSIBLY_POISONOUS, isolated=True)
        self._metrics.waiting_groups.set(self._backlog.backing_off)

    def _count(self, event: PendingEvent, outcome: str) -> None:
        self._metrics.entries.labels(type=event.attributes.get("type", ""), outcome=outcome).inc()
