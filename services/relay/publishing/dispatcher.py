"""The single steps of the relay's work: read, take, apply an answer, record. Only the database is waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, assert_never

import structlog

from event_trio import failpoints
from event_trio.backoff import Backoff
from event_trio.clock import Clock
from event_trio.database.connections import DATABASE_FAULTS

from ..metrics import RelayMetrics
from .announcements import Announcements
from .backlog import Backlog, PendingEvent
from .outbox_reader import MOST_GROUPS, OutboxPage, OutboxReader
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
from .tracing import trace_of

log = structlog.get_logger(__name__)

GROUP = Backoff(first=0.2, factor=2, cap=60.0, jitter=0.5)
# The cause of a rejection is not known yet: the event is sent again soon, then less and less often.
POSSIBLY_POISONOUS = Backoff(first=0.2, factor=2, cap=30.0, jitter=0.5)
# Short, because the limit of calls in flight already reduces the load on a broker that throttles.
THROTTLED = Backoff(first=0.01, factor=2, cap=2.0, jitter=0.5)
# After an event was held: the next read finds that the group is held, or that an operator has decided.
HELD = Backoff(first=1.0, factor=1, cap=1.0, jitter=0.5)
ERROR_CHARACTERS = 500


class OwnedLanes(Protocol):
    """The lanes as the dispatcher uses them."""

    def owned(self) -> list[int]:
        """Return the lanes that this relay may work on now."""
        ...

    def may_send(self, lane: int) -> bool:
        """Return whether a call for this lane may begin now."""
        ...

    def owns(self, lane: int) -> bool:
        """Return whether this relay still owns the lane."""
        ...

    def token(self, lane: int) -> int:
        """Return the token under which this relay owns the lane."""
        ...


class AcknowledgedEvent(NamedTuple):
    """An event that the broker acknowledged at a time in monotonic seconds, not recorded yet."""

    event: PendingEvent
    message_id: str
    at: float


@dataclass(frozen=True, slots=True)
class CallResult:
    """What has to be recorded after a call: acknowledgements and failures."""

    acknowledged: list[AcknowledgedEvent]
    failed: list[tuple[PendingEvent, Transient | Permanent]]


class Dispatcher:
    """Selects events of this relay's lanes for sending, only the heads of groups, and records the results of calls."""

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
        self._announcements = Announcements()

    @property
    def announced(self) -> bool:
        """Whether groups were announced that were not read since."""
        return len(self._announcements) > 0

    def announce(self, subjects: Iterable[str]) -> bool:
        """Remember that these groups changed; False if they are too many, and everything must be read."""
        return self._announcements.add(subjects)

    async def read(self, *, everything: bool = True) -> OutboxPage:
        """Read heads of groups into the backlog: of all groups, or of those that were announced.

        Raises what the database raises; then everything must be read.
        """
        now, lanes = self._clock.monotonic(), self._lanes.owned()
        announced = self._announcements.take(None if everything else MOST_GROUPS)
        scope = self._backlog.begin_read(now, None if everything else announced)
        try:
            if everything:
                reading = await self._reader.read(lanes, excluded=scope.excluded, positions=scope.positions)
            else:
                reading = await self._reader.read_groups(
                    announced, lanes, excluded=scope.excluded, positions=scope.positions
                )
        except BaseException:
            self._announcements.clear()
            raise
        if everything and not reading.whole:
            self._announcements.add(announced)
        self._metrics.reads.inc()
        usable = set(self._lanes.owned())
        ours = [event for event in reading.events if event.lane in usable]
        if not self._backlog.load(ours, read_at=now, window=reading.window, scope=scope):
            return OutboxPage((), exhausted=False)
        return reading

    def drop_lanes(self, lanes: Iterable[int]) -> None:
        """Drop the waiting events of lanes that another relay owns now."""
        self._backlog.drop(lanes)

    def take(self) -> list[PendingEvent]:
        """Take the next batch to send; empty if no event may be sent."""
        return self._backlog.take(self._lanes.may_send, self._clock.monotonic())

    def take_unsendable(self) -> CallResult | None:
        """Take the invalid events whose turn has come, as failures; None if there are none."""
        found = self._backlog.take_unsendable()
        return CallResult([], [(event, Permanent(event.fault or "")) for event in found]) if found else None

    def apply(self, batch: Sequence[PendingEvent], answer: CallOutcome) -> CallResult:
        """Update the backlog from the broker's answer. Failed events stay in it until `record_failures`."""
        result = CallResult([], [])
        now = self._clock.monotonic()
        match answer:
            case Answered(all_accepted=True):
                failpoints.hit("relay.acknowledged")
                self._backlog.accepted(*batch)
                for event, outcome in zip(batch, answer.outcomes, strict=True):
                    if isinstance(outcome, Accepted):
                        result.acknowledged.append(AcknowledgedEvent(event, outcome.message_id, now))
            case Answered(outcomes):
                if any(isinstance(outcome, Accepted) for outcome in outcomes):
                    failpoints.hit("relay.acknowledged")
                for event, outcome in zip(batch, outcomes, strict=True):
                    match outcome:
                        case Accepted():
                            self._backlog.accepted(event)
                            result.acknowledged.append(AcknowledgedEvent(event, outcome.message_id, now))
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
                log.warning("batch rejected; its events go one by one", action="relay.batch_rejected", reason=reason)
                for event in batch:
                    self._backlog.isolate(event)
            case BrokerOutage() | NotAttempted():
                for event in batch:
                    self._backlog.requeue(event)
                # The outbox may have changed meanwhile, so everything is read again.
                self._backlog.clear()
            case _:
                assert_never(answer)
        if lost := {event.lane for event in batch if not self._lanes.owns(event.lane)}:
            self._backlog.drop(lost)
        return result

    def abandon(self, events: Iterable[PendingEvent]) -> bool:
        """Return events that are still in flight after their call ended to the outbox; True if there were any."""
        return sum(self._backlog.abandon(event) for event in events) > 0

    def reset(self) -> None:
        """Forget all events in memory; they are read again."""
        self._backlog.reset()

    async def record_acknowledgements(self, acknowledged: Sequence[AcknowledgedEvent]) -> None:
        """Record acknowledgements. Raises what the database raises, and may then be repeated."""
        now = self._clock.monotonic()
        waited = await self._updates.mark_sent(
            [Acknowledgement(r.event.id, r.event.republished, r.message_id, now - r.at) for r in acknowledged]
        )
        self.recorded([each.event for each in acknowledged], waited)

    def recorded(self, events: Sequence[PendingEvent], waited: Iterable[float]) -> None:
        """The acknowledgements of these events are recorded, `waited` seconds after the events."""
        self._metrics.recorded_to_sent.observe_all(waited)
        self._backlog.recorded(*events)
        types = Counter([event.attributes.get("type", "") for event in events])
        for event_type, count in types.items():
            self._metrics.entries.labels(type=event_type, outcome="accepted").inc(count)

    async def record_failures(self, failed: Sequence[tuple[PendingEvent, Transient | Permanent]]) -> None:
        """Record failures: the groups of these events wait, or are held; operators see the error."""
        if not failed:
            return
        transient: list[Failure] = []
        permanent: list[Failure] = []
        for event, outcome in failed:
            failure = Failure(event.id, self._lanes.token(event.lane), outcome.reason[:ERROR_CHARACTERS])
            is_permanent = isinstance(outcome, Permanent)
            (permanent if is_permanent else transient).append(failure)
            self._count(event, "permanent" if is_permanent else "transient")
            log.warning(
                "event rejected for good; its group is held" if is_permanent else "event not accepted; its group waits",
                action="relay.held" if is_permanent else "relay.not_accepted",
                event_id=event.event_id,
                subject=event.subject,
                reason=failure.error,
                **trace_of(event),
            )
        try:
            if transient:
                await self._updates.mark_failed(transient)
            if permanent:
                await self._updates.mark_held(permanent)
        except DATABASE_FAULTS as error:
            # Nothing is lost: the event is read, sent and rejected once more.
            log.warning("cannot record failures", action="relay.failures_not_recorded", error=type(error).__name__)
        except Exception:
            log.exception("cannot record failures", action="relay.failures_not_recorded")
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
            "event rejected, cause unknown; it is sent again in isolation",
            action="relay.event_rejected",
            event_id=event.event_id,
            subject=event.subject,
            reason=reason[:ERROR_CHARACTERS],
            **trace_of(event),
        )
        self._backlog.failed(event, now, POSSIBLY_POISONOUS, isolated=True)
        self._metrics.waiting_groups.set(self._backlog.backing_off)

    def _count(self, event: PendingEvent, outcome: str) -> None:
        self._metrics.entries.labels(type=event.attributes.get("type", ""), outcome=outcome).inc()
