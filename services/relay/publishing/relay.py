"""The relay's main loop: looks at the outbox, keeps several calls in flight, records what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from event_trio.clock import Clock
from event_trio.database.connections import DATABASE_FAULTS
from event_trio.error_text import describe, operator_text
from event_trio.errors import EventTrioError
from event_trio.signals import Signals

from ..leases.lanes import Lanes
from ..metrics import RelayMetrics
from .backlog import BATCH_ENTRIES, Backlog, PendingEvent
from .batch_writer import BatchWriter
from .broker_state import BrokerState, CallAttempt
from .dispatcher import AcknowledgedEvent, CallResult, Dispatcher
from .outcome import BrokerOutage, CallOutcome, CallRejected, NotAttempted, label_of
from .publisher import Publisher

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
FIRST_POLL_WHILE_LISTENING_SECONDS = 0.25
# Handing the lanes over must not keep a process from ending; what is not handed over is free when the lease ends.
LEAVE_SECONDS = 3.0
REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How fast the relay works: calls in flight at once, and seconds between polls of an idle outbox."""

    batches_in_flight: int = 8
    poll_idle_seconds: float = 1.0


class Relay:
    """Carries events from the outbox to the topic. Polling is the truth; `ring` only makes it look sooner."""

    name = "relay"

    def __init__(
        self,
        dispatcher: Dispatcher,
        publisher: Publisher,
        lanes: Lanes,
        backlog: Backlog,
        *,
        options: RelayOptions,
        is_listening: Callable[[], bool],
        clock: Clock,
        metrics: RelayMetrics,
        signals: Signals,
    ) -> None:
        self._is_listening = is_listening
        self._dispatcher = dispatcher
        self._publisher = publisher
        self._lanes = lanes
        self._backlog = backlog
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._woken = asyncio.Event()
        lanes.on_change(self._on_lanes_changed)
        self._reset()

    def _reset(self) -> None:
        """Nothing that a run left behind is in the way of the next one."""
        self._dispatcher.reset()
        self._look = True
        self._missed = False
        self._poll = FIRST_POLL_SECONDS
        self._next_poll = 0.0
        self._answered_at = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._broker = BrokerState(self._options.batches_in_flight, metrics=self._metrics, signals=self._signals)
        self._recorder: BatchWriter[AcknowledgedEvent] = BatchWriter(
            "relay.record", self._record, most=RECORD_MOST, interval=RECORD_SECONDS, hurry=self._is_waited_for
        )

    @property
    def outage(self) -> str | None:
        """Why the broker as a whole cannot be used, or None."""
        return self._broker.outage

    def counts(self) -> dict[str, int]:
        """The sizes of all that is kept in memory, to show that they are bounded."""
        return {**self._backlog.counts(), **self._broker.counts(), "calls": len(self._calls)}

    def wake(self) -> None:
        """Something was committed, confirmed or returned: look at the outbox now."""
        self._look = True
        # It may be of a group in hand, which is not read again before what was sent of it is recorded.
        self._missed = True
        self._poll = FIRST_POLL_SECONDS
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry events until asked to stop; then finish what is in flight and hand the lanes over.

        Raises what none of its parts expects; whoever starts it again starts it afresh.
        """
        self._reset()
        recorder = asyncio.create_task(self._recorder.run())
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                if self._should_read():
                    await self._read()
                self._send()
                await self._rest(stop, recorder)
                self._raise_what_broke(recorder)
            await self._drain(recorder)
        finally:
            for task in (stop, recorder, *self._calls):
                task.cancel()
            await asyncio.gather(stop, recorder, *self._calls, return_exceptions=True)
            if stopping.is_set():
                await self.leave()

    async def leave(self) -> None:
        """Hand the lanes over, however this came to its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._lanes.leave()

    async def _drain(self, recorder: asyncio.Task[None]) -> None:
        while self._calls:
            await asyncio.wait(set(self._calls))
        drained = asyncio.create_task(self._recorder.drained())
        await asyncio.wait({drained, recorder}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        self._raise_what_broke(recorder)

    def _raise_what_broke(self, recorder: asyncio.Task[None]) -> None:
        if recorder.cancelled():
            raise EventTrioError("the recording of acknowledgements was cancelled")
        if broken := (recorder.exception() if recorder.done() else self._broken):
            raise broken

    def _should_read(self) -> bool:
        now = self._clock.monotonic()
        return (
            (self._look or now >= self._next_poll)
            and self._backlog.waiting < LOW_WATER
            and not self._recorder.full
            and self._broker.may_call(now)
        )

    async def _read(self) -> None:
        self._look = False
        if not self._backlog.in_hand:
            self._missed = False
        try:
            reading = await self._dispatcher.read()
        except DATABASE_FAULTS as error:
            log.warning("cannot read the outbox", action="relay.read_failed", error=describe(error))
            # A bell that rang before this is not rung again: do not wait for a poll that may be a minute away.
            self._plan_poll(min(READ_AGAIN_SECONDS, self._options.poll_idle_seconds))
            return
        self._look = self._look or not reading.exhausted
        if reading.events:
            self._plan_poll(FIRST_POLL_WHILE_LISTENING_SECONDS if self._is_listening() else FIRST_POLL_SECONDS)
        else:
            self._plan_poll(min(self._poll * 2, self._options.poll_idle_seconds))
        self._signals.emit("relay.read", events=len(reading.events))

    def _plan_poll(self, seconds: float) -> None:
        self._poll = seconds
        self._next_poll = self._clock.monotonic() + seconds

    def _send(self) -> None:
        while not self._recorder.full:
            now = self._clock.monotonic()
            if not self._broker.may_begin(len(self._calls), now) or self._should_fill(now):
                return
            before = self._backlog.waiting
            batch = self._dispatcher.take()
            if unsendable := self._dispatcher.take_unsendable():
                self._spawn(self._hold(unsendable))
            # What was in hand for too long was put down, and is to be read again.
            self._look = self._look or self._backlog.waiting < before - len(batch)
            if not batch:
                return
            self._spawn(self._publish(batch, self._broker.begin(now)))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        call = asyncio.create_task(work)
        self._calls.add(call)
        call.add_done_callback(self._on_call_done)

    def _should_fill(self, now: float) -> bool:
        """Whether a batch would go half empty while answers that make more events ready are just coming in."""
        return len(self._calls) > 1 and self._backlog.ready < BATCH_ENTRIES and now < self._answered_at + FILL_SECONDS

    def _is_waited_for(self) -> bool:
        return not self._calls or self._backlog.wants_more

    async def _rest(self, stop: asyncio.Task[bool], recorder: asyncio.Task[None]) -> None:
        if self._look and self._should_read():
            await asyncio.sleep(0)
            return
        now = self._clock.monotonic()
        instants = [self._next_poll, *self._broker.wake_times()]
        instants += [self._backlog.next_retry_at(now) or 0.0, self._backlog.next_resume_at(now) or 0.0]
        if self._backlog.ready and self._calls:
            instants.append(self._answered_at + FILL_SECONDS)
        wait = min((instant - now for instant in instants if instant > now), default=FIRST_POLL_SECONDS)
        self._woken.clear()
        woken = asyncio.create_task(self._woken.wait())
        await asyncio.wait({stop, recorder, woken}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        resting_until = self._backlog.next_retry_at(now)
        if resting_until is not None and self._clock.monotonic() >= resting_until:
            self._look = True

    async def _publish(self, batch: Sequence[PendingEvent], attempt: CallAttempt) -> None:
        try:
            answer = await self._ask(batch)
            await self._dispatcher.record_failures(self._conclude(batch, answer, attempt).failed)
        finally:
            self._broker.end(attempt)
            # Whatever ended this, nothing is left in flight that nobody waits for.
            self._put_down(batch)

    def _conclude(self, batch: Sequence[PendingEvent], answer: CallOutcome, attempt: CallAttempt) -> CallResult:
        now = self._clock.monotonic()
        try:
            answer = self._broker.evaluate(batch, answer, attempt, now)
            result = self._dispatcher.apply(batch, answer)
            self._recorder.add(result.receipts)
        except BaseException as error:
            # What is in hand may be half result: the loop begins afresh.
            self._broken = error if isinstance(error, Exception) else EventTrioError(repr(error))
            raise
        self._look = self._look or isinstance(answer, BrokerOutage | NotAttempted)
        self._metrics.calls.labels(outcome=label_of(answer)).inc()
        self._metrics.call_seconds.observe(now - attempt.began)
        self._metrics.batch_size.observe(len(batch))
        return result

    async def _ask(self, batch: Sequence[PendingEvent]) -> CallOutcome:
        try:
            return await self._publisher.publish(batch)
        except Exception as error:
            # Nobody foresaw it, so it may be an event's doing: each goes alone, and what comes of the others tells.
            log.exception("a call to the broker broke", action="relay.call_failed")
            return CallRejected(operator_text(error)[:REASON_CHARACTERS])

    async def _hold(self, unsendable: CallResult) -> None:
        try:
            await self._dispatcher.record_failures(unsendable.failed)
        finally:
            self._put_down([event for event, _ in unsendable.failed])

    def _put_down(self, events: Sequence[PendingEvent]) -> None:
        if self._dispatcher.abandon(events):
            self._look = True

    async def _record(self, receipts: Sequence[AcknowledgedEvent]) -> None:
        more = self._backlog.wants_more
        await self._dispatcher.record_acknowledgements(receipts)
        for receipt in receipts:
            self._signals.emit("relay.sent", event_id=receipt.event.event_id, subject=receipt.event.subject)
        if more or self._missed:
            self._look = True
            self._woken.set()

    def _on_call_done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._answered_at = self._clock.monotonic()
        self._recorder.nudge()
        self._woken.set()
        if not call.cancelled() and (error := call.exception()):
            self._broken = error

    def _on_lanes_changed(self, lost: set[int]) -> None:
        self._dispatcher.drop_lanes(lost)
        self.wake()
