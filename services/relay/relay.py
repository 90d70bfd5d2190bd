"""The relay's main loop: reads heads of groups, sends them in batches side by side, records what was acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog

from shared import failpoints
from shared.clock import Clock
from shared.database import DATABASE_FAULTS
from shared.retry import Backoff
from shared.signals import Signals

from .backlog import Backlog, PendingEvent
from .coalescer import Coalescer
from .lanes import Lanes
from .metrics import RelayMetrics
from .outbox_marks import Acknowledgement, Failure, OutboxMarks
from .outbox_reader import OutboxReader
from .outcome import Accepted, Answered, Outage, Permanent, Refused, Transient
from .publisher import Publisher

log = structlog.get_logger(__name__)

# Below so many unsent events in hand, more are read.
LOW_WATER = 200
# Acknowledgements wait that long for others while more calls are in flight: then one statement serves several calls.
LINGER_SECONDS = 0.025
RECORD_MOST = 500
FIRST_POLL_SECONDS = 0.01
GROUP = Backoff(first=0.2, factor=2, cap=60.0, jitter=0.5)
# A refusal for good is not worth hurrying back to, but somebody may have mended what it was refused for.
PERMANENT = Backoff(first=60.0, factor=1, cap=60.0, jitter=0.5)
OUTAGE = Backoff(first=0.2, factor=2, cap=5.0, jitter=0.5)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the relay works: calls in flight at once, and seconds between polls of an idle outbox."""

    batches_in_flight: int = 8
    poll_idle_seconds: float = 1.0


class Relay:
    """Carries events from the outbox to the topic. Polling is the truth; `ring` only makes it look sooner."""

    name = "relay"

    def __init__(
        self,
        *,
        reader: OutboxReader,
        marks: OutboxMarks,
        publisher: Publisher,
        lanes: Lanes,
        backlog: Backlog,
        pace: Pace,
        clock: Clock,
        metrics: RelayMetrics,
        signals: Signals,
    ) -> None:
        self._reader = reader
        self._marks = marks
        self._publisher = publisher
        self._lanes = lanes
        self._backlog = backlog
        self._pace = pace
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._wake = asyncio.Event()
        self._look = True
        self._poll = FIRST_POLL_SECONDS
        self._next_poll = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._outages = 0
        self._paused_until = 0.0
        self.outage: str | None = None
        self._recorder: Coalescer[tuple[PendingEvent, str, float]] = Coalescer(
            "relay.record", self._record, most=RECORD_MOST, linger=LINGER_SECONDS, hurry=lambda: not self._calls
        )
        lanes.when_changed(self._on_lanes_changed)

    def ring(self) -> None:
        """Something was committed, confirmed or returned: look at the outbox now."""
        self._look = True
        self._poll = FIRST_POLL_SECONDS
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry events until asked to stop; then finish what is in flight and hand the lanes over."""
        recorder = asyncio.create_task(self._recorder.run())
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                await self._read()
                self._send()
                await self._rest(stop)
            await asyncio.gather(*self._calls)
            await self._recorder.drained()
            await self._lanes.leave()
        finally:
            stop.cancel()
            recorder.cancel()
            for call in self._calls:
                call.cancel()

    async def _read(self) -> None:
        now = self._clock.monotonic()
        due = self._look or now >= self._next_poll
        if not due or self._backlog.waiting >= LOW_WATER or self._recorder.full or now < self._paused_until:
            return
        self._look = False
        try:
            reading = await self._reader.read(self._lanes.owned(), known=self._backlog.known(now))
        except DATABASE_FAULTS as error:
            log.warning("cannot read the outbox", action="relay.read_failed", error=f"{type(error).__name__}: {error}")
            self._plan_poll(self._pace.poll_idle_seconds)
            return
        self._backlog.load(event for event in reading.events if self._lanes.may_send(event.lane))
        self._metrics.reads.inc()
        if reading.events or not reading.exhausted:
            self._look = True
            self._plan_poll(FIRST_POLL_SECONDS)
        else:
            self._plan_poll(min(self._poll * 2, self._pace.poll_idle_seconds))
        self._signals.emit("relay.read", events=len(reading.events))

    def _plan_poll(self, seconds: float) -> None:
        self._poll = seconds
        self._next_poll = self._clock.monotonic() + seconds

    def _send(self) -> None:
        now = self._clock.monotonic()
        while len(self._calls) < self._pace.batches_in_flight and now >= self._paused_until:
            if self._recorder.full or not (batch := self._backlog.take(self._lanes.may_send)):
                return
            call = asyncio.create_task(self._publish(batch))
            self._calls.add(call)
            call.add_done_callback(self._on_call_done)

    async def _rest(self, stop: asyncio.Task[bool]) -> None:
        now = self._clock.monotonic()
        if self._look and self._backlog.waiting < LOW_WATER and not self._recorder.full and now >= self._paused_until:
            await asyncio.sleep(0)
            return
        instants = [self._next_poll, self._paused_until, self._backlog.wakes_at(now) or 0.0]
        wait = min((instant - now for instant in instants if instant > now), default=FIRST_POLL_SECONDS)
        self._wake.clear()
        woken = asyncio.create_task(self._wake.wait())
        done, _ = await asyncio.wait({stop, woken}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        if not done:
            self._look = self._look or self._clock.monotonic() >= (self._backlog.wakes_at(now) or float("inf"))

    def _on_call_done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._recorder.nudge()
        self._wake.set()
        if not call.cancelled() and (error := call.exception()):
            log.error("a call to the broker broke", action="relay.call_broke", error=repr(error))

    async def _publish(self, batch: Sequence[PendingEvent]) -> None:
        began = self._clock.monotonic()
        answer = await self._publisher.publish(batch)
        now = self._clock.monotonic()
        self._metrics.calls.labels(outcome=type(answer).__name__.lower()).inc()
        self._metrics.call_seconds.observe(now - began)
        self._metrics.batch_size.observe(len(batch))
        match answer:
            case Answered(outcomes):
                self._recovered()
                accepted: list[tuple[PendingEvent, str, float]] = []
                failed: list[tuple[PendingEvent, Transient | Permanent]] = []
                for event, outcome in zip(batch, outcomes, strict=True):
                    match outcome:
                        case Accepted(message_id):
                            failpoints.hit("relay.acknowledged")
                            self._backlog.accepted(event)
                            accepted.append((event, message_id, now))
                        case Transient() | Permanent():
                            failed.append((event, outcome))
                        case _:
                            assert_never(outcome)
                self._recorder.add(accepted)
                await self._note(failed)
            case Refused(reason) if len(batch) == 1:
                await self._note([(batch[0], Permanent(reason))])
            case Refused(reason):
                log.warning(
                    "a batch was refused; its events go one by one", action="relay.batch_refused", reason=reason
                )
                for event in batch:
                    self._backlog.isolate(event)
            case Outage(reason):
                for event in reversed(batch):
                    self._backlog.returned(event)
                self._pause(reason)
            case _:
                assert_never(answer)
        self._backlog.drop({event.lane for event in batch if not self._lanes.owns(event.lane)})

    def _pause(self, reason: str) -> None:
        self._outages += 1
        wait = OUTAGE.delay(min(self._outages, 16), random.random())  # noqa: S311 - jitter, not a secret
        self._paused_until = self._clock.monotonic() + wait
        if self.outage is None:
            log.warning("the broker cannot be used; events wait", action="relay.outage", reason=reason)
        self.outage = reason
        self._metrics.outage.set(1)
        self._signals.emit("relay.outage", reason=reason)

    def _recovered(self) -> None:
        if self.outage is not None:
            log.info("the broker answers again", action="relay.recovered", after=self._outages)
        self.outage, self._outages, self._paused_until = None, 0, 0.0
        self._metrics.outage.set(0)

    async def _note(self, failed: Sequence[tuple[PendingEvent, Transient | Permanent]]) -> None:
        """The groups of these wait; the attempt and its error are kept where a person can see them."""
        if not failed:
            return
        tokens = {event.lane: self._lanes.token(event.lane) for event, _ in failed}
        for event, outcome in failed:
            kind = type(outcome).__name__.lower()
            self._metrics.entries.labels(type=event.attributes.get("type", ""), outcome=kind).inc()
            log.warning(
                "event not accepted; its group waits",
                action="relay.not_accepted",
                event_id=event.event_id,
                subject=event.subject,
                kind=kind,
                reason=outcome.reason,
            )
            self._backlog.failed(event, self._clock.monotonic(), PERMANENT if isinstance(outcome, Permanent) else GROUP)
        self._metrics.waiting_groups.set(self._backlog.resting)
        try:
            await self._marks.mark_failed(
                [Failure(e.id, tokens[e.lane], outcome.reason[:500]) for e, outcome in failed]
            )
        except DATABASE_FAULTS as error:
            log.warning("cannot count attempts", action="relay.note_failed", error=type(error).__name__)

    async def _record(self, items: Sequence[tuple[PendingEvent, str, float]]) -> None:
        now = self._clock.monotonic()
        waited = await self._marks.mark_sent(
            [Acknowledgement(event.id, event.republished, message_id, now - at) for event, message_id, at in items]
        )
        for seconds in waited:
            self._metrics.recorded_to_sent.observe(seconds)
        for event, _, _ in items:
            self._backlog.recorded(event)
            self._metrics.entries.labels(type=event.attributes.get("type", ""), outcome="accepted").inc()
            self._signals.emit("relay.sent", event_id=event.event_id, subject=event.subject)
        self._look = True
        self._wake.set()

    def _on_lanes_changed(self, lost: set[int]) -> None:
        self._backlog.drop(lost)
        self.ring()
