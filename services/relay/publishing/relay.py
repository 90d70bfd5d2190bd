"""The relay's main loop: looks at the outbox, keeps several calls in flight, records what was acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from shared.breaker import Breaker, Trip
from shared.clock import Clock
from shared.database import DATABASE_FAULTS
from shared.error_text import describe
from shared.signals import Signals

from ..coordination.lanes import Lanes
from ..metrics import RelayMetrics
from .backlog import BATCH_ENTRIES, Backlog, PendingEvent
from .coalescer import Coalescer
from .courier import Courier, Receipt
from .outcome import Accepted, Answered, CallOutcome, Outage, Permanent, Refused, Unsent
from .publisher import Publisher
from .refusals import Refusals

log = structlog.get_logger(__name__)

# Below so many unsent events in hand, more are read.
LOW_WATER = 400
# Under load acknowledgements are recorded that often, so that one statement serves many calls. What is acknowledged and
# not recorded when the process dies goes once more, under the same deduplication id.
RECORD_SECONDS = 0.5
# So long after the last answer a batch that is not full waits for the next one, to go fuller.
FILL_SECONDS = 0.05
RECORD_MOST = 500
# After something was found the outbox is polled that soon again, and then less and less often. A doorbell that is heard
# makes haste unnecessary, for every commit rings it.
FIRST_POLL_SECONDS = 0.01
READ_AGAIN_SECONDS = 1.0
FIRST_POLL_BY_BELL_SECONDS = 0.25


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
        courier: Courier,
        publisher: Publisher,
        lanes: Lanes,
        backlog: Backlog,
        *,
        pace: Pace,
        hears: Callable[[], bool],
        clock: Clock,
        metrics: RelayMetrics,
        signals: Signals,
    ) -> None:
        self._hears = hears
        self._courier = courier
        self._publisher = publisher
        self._lanes = lanes
        self._backlog = backlog
        self._pace = pace
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._wake = asyncio.Event()
        self._look = True
        self._missed = False
        self._poll = FIRST_POLL_SECONDS
        self._next_poll = 0.0
        self._answered_at = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._breaker = Breaker(Trip(), random=random.random)
        self._refusals = Refusals()
        self._recorder: Coalescer[Receipt] = Coalescer(
            "relay.record", self._record, most=RECORD_MOST, interval=RECORD_SECONDS, hurry=self._someone_waits
        )
        lanes.when_changed(self._on_lanes_changed)

    @property
    def outage(self) -> str | None:
        """Why the broker as a whole cannot be used, or None."""
        return self._breaker.reason

    def ring(self) -> None:
        """Something was committed, confirmed or returned: look at the outbox now."""
        self._look = True
        # It may be of a group in hand, which is not read again before what was sent of it is recorded.
        self._missed = True
        self._poll = FIRST_POLL_SECONDS
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry events until asked to stop; then finish what is in flight and hand the lanes over."""
        recorder = asyncio.create_task(self._recorder.run())
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                if self._should_read():
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

    def _should_read(self) -> bool:
        now = self._clock.monotonic()
        return (
            (self._look or now >= self._next_poll)
            and self._backlog.waiting < LOW_WATER
            and not self._recorder.full
            and self._breaker.may_call(now)
        )

    async def _read(self) -> None:
        self._look = False
        if not self._backlog.in_hand:
            self._missed = False
        try:
            reading = await self._courier.read()
        except DATABASE_FAULTS as error:
            log.warning("cannot read the outbox", action="relay.read_failed", error=describe(error))
            # A bell that rang before this is not rung again: do not wait for a poll that may be a minute away.
            self._plan_poll(min(READ_AGAIN_SECONDS, self._pace.poll_idle_seconds))
            return
        self._look = self._look or not reading.exhausted
        if reading.events:
            self._plan_poll(FIRST_POLL_BY_BELL_SECONDS if self._hears() else FIRST_POLL_SECONDS)
        else:
            self._plan_poll(min(self._poll * 2, self._pace.poll_idle_seconds))
        self._signals.emit("relay.read", events=len(reading.events))

    def _plan_poll(self, seconds: float) -> None:
        self._poll = seconds
        self._next_poll = self._clock.monotonic() + seconds

    def _send(self) -> None:
        while len(self._calls) < self._pace.batches_in_flight and not self._recorder.full:
            if not self._breaker.may_call(now := self._clock.monotonic()) or self._should_fill(now):
                return
            before = self._backlog.waiting
            batch = self._courier.take()
            # What was in hand for too long was put down, and is to be read again.
            self._look = self._look or self._backlog.waiting < before - len(batch)
            if not batch:
                return
            self._breaker.try_call(now)
            call = asyncio.create_task(self._publish(batch))
            self._calls.add(call)
            call.add_done_callback(self._on_call_done)

    def _should_fill(self, now: float) -> bool:
        """Whether a batch would go half empty while answers that make more events ready are just coming in."""
        return len(self._calls) > 1 and self._backlog.ready < BATCH_ENTRIES and now < self._answered_at + FILL_SECONDS

    def _someone_waits(self) -> bool:
        return not self._calls or self._backlog.hungry

    async def _rest(self, stop: asyncio.Task[bool]) -> None:
        if self._look and self._should_read():
            await asyncio.sleep(0)
            return
        now = self._clock.monotonic()
        instants = [self._next_poll, self._breaker.opens_at or 0.0, self._backlog.wakes_at(now) or 0.0]
        if self._backlog.ready and self._calls:
            instants.append(self._answered_at + FILL_SECONDS)
        wait = min((instant - now for instant in instants if instant > now), default=FIRST_POLL_SECONDS)
        self._wake.clear()
        woken = asyncio.create_task(self._wake.wait())
        await asyncio.wait({stop, woken}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        resting_until = self._backlog.wakes_at(now)
        if resting_until is not None and self._clock.monotonic() >= resting_until:
            self._look = True

    async def _publish(self, batch: Sequence[PendingEvent]) -> None:
        began = self._clock.monotonic()
        answer = self._suspect(batch, await self._publisher.publish(batch))
        self._metrics.calls.labels(outcome=type(answer).__name__.lower()).inc()
        self._metrics.call_seconds.observe(self._clock.monotonic() - began)
        self._metrics.batch_size.observe(len(batch))
        if isinstance(answer, Outage):
            self._open(answer.reason)
        elif isinstance(answer, Unsent):
            self._breaker.undecided()
            self._look = True
        else:
            self._close()
        self._recorder.add(await self._courier.settle(batch, answer))

    def _suspect(self, batch: Sequence[PendingEvent], answer: CallOutcome) -> CallOutcome:
        """Refusals of many groups, without one success between them, are no events' fault but an outage."""
        now = self._clock.monotonic()
        if isinstance(answer, Answered):
            if any(isinstance(o, Accepted) for o in answer.outcomes):
                self._refusals.forget()
                return answer
            refused = [e for e, o in zip(batch, answer.outcomes, strict=True) if isinstance(o, Permanent)]
            reasons = [o.reason for o in answer.outcomes if isinstance(o, Permanent)]
        elif isinstance(answer, Refused) and len(batch) == 1:
            refused, reasons = list(batch), [answer.reason]
        else:
            return answer
        if refused and self._refusals.add([event.subject for event in refused], now):
            return Outage(f"the broker refuses the events of many groups: {reasons[0]}")
        return answer

    def _open(self, reason: str) -> None:
        if self._breaker.failed(self._clock.monotonic(), reason):
            log.warning("the broker cannot be used; events wait", action="relay.outage", reason=reason)
        self._look = True
        self._metrics.outage.set(1)
        self._signals.emit("relay.outage", reason=reason)

    def _close(self) -> None:
        if self._breaker.succeeded():
            log.info("the broker answers again", action="relay.recovered")
            self._metrics.outage.set(0)

    async def _record(self, receipts: Sequence[Receipt]) -> None:
        more = self._backlog.hungry
        await self._courier.record(receipts)
        for receipt in receipts:
            self._signals.emit("relay.sent", event_id=receipt.event.event_id, subject=receipt.event.subject)
        if more or self._missed:
            self._look = True
            self._wake.set()

    def _on_call_done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._answered_at = self._clock.monotonic()
        self._recorder.nudge()
        self._wake.set()
        if not call.cancelled() and (error := call.exception()):
            log.error("a call to the broker broke", action="relay.call_broke", error=repr(error))

    def _on_lanes_changed(self, lost: set[int]) -> None:
        self._courier.forget(lost)
        self.ring()
