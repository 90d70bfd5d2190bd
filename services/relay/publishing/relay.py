"""The relay's main loop: reads the outbox, keeps several calls to the broker in flight, records acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from event_trio.broker.publisher import MessagePublisher
from event_trio.clock import Clock
from event_trio.database.connections import DATABASE_FAULTS
from event_trio.error_text import describe, operator_text
from event_trio.errors import EventTrioError
from event_trio.signals import Signals

from ..leases.lanes import Lanes
from ..metrics import RelayMetrics
from .acknowledgements import AcknowledgementRecorder
from .alarm import Alarm
from .backlog import BATCH_ENTRIES, Backlog, PendingEvent
from .batch_filling import BatchFilling
from .broker_state import BrokerState, CallAttempt
from .call_tasks import CallTasks
from .dispatcher import CallResult, Dispatcher
from .loop_failures import raise_failure
from .outcome import REASON_CHARACTERS, BrokerOutage, CallOutcome, CallRejected, NotAttempted, label_of
from .poll_interval import FIRST_POLL_SECONDS, PollInterval

log = structlog.get_logger(__name__)

# More events are read when fewer unsent events than this are in memory.
LOW_WATER = 400
# The longest pause between two reads; it is as long as the first of them took.
LONGEST_READ_PAUSE_SECONDS = 0.05
# Handing over the lanes must not delay the end of the process; lanes not handed over are free when the lease expires.
LEAVE_SECONDS = 3.0


class Relay:
    """Publishes the events of the outbox to the topic. It polls; `wake` only makes the next read happen sooner."""

    name = "relay"

    def __init__(
        self,
        dispatcher: Dispatcher,
        publisher: MessagePublisher,
        lanes: Lanes,
        backlog: Backlog,
        *,
        calls_in_flight: int = 8,
        idle_seconds: float = 1.0,
        is_listening: Callable[[], bool],
        is_announced: Callable[[], bool] = lambda: False,
        clock: Clock,
        metrics: RelayMetrics,
        signals: Signals,
    ) -> None:
        """`idle_seconds` is the longest interval between polls; `is_listening` tells if notifications are received."""
        self._dispatcher = dispatcher
        self._publisher = publisher
        self._lanes = lanes
        self._backlog = backlog
        self._calls_in_flight = calls_in_flight
        self._idle_seconds = idle_seconds
        self._is_listening = is_listening
        self._is_announced = is_announced
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._woken = asyncio.Event()
        self.acknowledgements = AcknowledgementRecorder(
            dispatcher, backlog, clock=clock, signals=signals, on_recorded=self._on_recorded
        )
        lanes.on_change(self._on_lanes_changed)
        self._reset()

    def _reset(self) -> None:
        """Forget what an earlier run of this loop left behind."""
        self._dispatcher.reset()
        self._must_read = True
        self._reading: asyncio.Task[None] | None = None
        self._may_read_at = 0.0
        self._filling = BatchFilling(self._calls_in_flight)
        self._broken: BaseException | None = None
        self._poll = PollInterval(self._idle_seconds, self._is_announced)
        self._alarm = Alarm(self._woken.set)
        self._calls = CallTasks(self._on_call_done)
        self._metrics.in_flight.set_function(self._calls.__len__)
        self._metrics.call_spacing.set_function(lambda: self._filling.spacing(self._clock.monotonic()))
        self._broker = BrokerState(self._calls_in_flight, metrics=self._metrics, signals=self._signals)
        self.acknowledgements.reset()

    @property
    def outage(self) -> str | None:
        """Why the broker as a whole cannot be used, or None."""
        return self._broker.outage

    def counts(self) -> dict[str, int]:
        """Return the sizes of everything kept in memory; tests check that they are bounded."""
        return {**self._backlog.counts(), **self._broker.counts(), "calls": len(self._calls)}

    def wake(self) -> None:
        """Read the outbox now: an event was committed, confirmed or marked as unsent."""
        self._must_read = True
        self._poll.shorten()
        self._woken.set()

    def announce(self, subjects: Sequence[str]) -> None:
        """Read these groups now, because they changed."""
        self._must_read = not self._dispatcher.announce(subjects) or self._must_read
        self._woken.set()

    def delivered(self, deduplication_id: str, queued_at: datetime) -> None:
        """Note when the broker put a message into the queue of the publish check, by the broker's clock."""
        delay = self._filling.delivered(deduplication_id, queued_at, self._clock.monotonic())
        if delay is not None:
            self._metrics.delivery_delay.observe(delay)

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until asked to stop, then finish the calls in flight and hand over the lanes.

        Raises unexpected errors; the supervisor then runs the loop again, with an empty backlog.
        """
        self._reset()
        recorder = asyncio.create_task(self.acknowledgements.run())
        stop = asyncio.create_task(stopping.wait())
        recorder.add_done_callback(lambda _: self._woken.set())
        stop.add_done_callback(lambda _: self._woken.set())
        try:
            while not stopping.is_set():
                if self._should_read():
                    self._start_reading()
                self._send()
                await self._rest()
                raise_failure(recorder, self._reading, self._broken or self._calls.error)
            await self._drain(recorder)
        finally:
            self._alarm.cancel()
            stop.cancel()
            recorder.cancel()
            reading = [self._reading] if self._reading is not None else []
            for task in reading:
                task.cancel()
            await self._calls.cancel()
            await asyncio.gather(stop, recorder, *reading, return_exceptions=True)
            if stopping.is_set():
                await self.leave()

    async def leave(self) -> None:
        """Hand over the lanes. A second call does nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._lanes.leave()

    async def _drain(self, recorder: asyncio.Task[None]) -> None:
        await self._calls.finished()
        drained = asyncio.create_task(self.acknowledgements.drained())
        await asyncio.wait({drained, recorder}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        raise_failure(recorder, self._reading, self._broken or self._calls.error)

    def _should_read_everything(self, now: float) -> bool:
        return self._must_read or self._backlog.needs_read or now >= self._poll.next_at

    def _should_read(self) -> bool:
        now = self._clock.monotonic()
        return (
            (self._should_read_everything(now) or self._dispatcher.announced)
            and (self._reading is None or self._reading.done())
            and now >= self._may_read_at
            and self._backlog.waiting < LOW_WATER
            and not self.acknowledgements.full
            and self._broker.may_call(now)
        )

    def _start_reading(self) -> None:
        """Read beside the calls in flight, whose answers must not wait for it."""
        everything = self._should_read_everything(self._clock.monotonic())
        self._must_read = False
        self._reading = asyncio.create_task(self._read(everything=everything))
        self._reading.add_done_callback(lambda _: self._woken.set())

    async def _read(self, *, everything: bool) -> None:
        began = self._clock.monotonic()
        try:
            page = await self._dispatcher.read(everything=everything)
        except DATABASE_FAULTS as error:
            log.warning("cannot read the outbox", action="relay.read_failed", error=describe(error))
            self._poll.failed(self._clock.monotonic())
            return
        now = self._clock.monotonic()
        self._may_read_at = now + min(now - began, LONGEST_READ_PAUSE_SECONDS)
        self._must_read = self._must_read or not page.exhausted
        self.acknowledgements.nudge()
        self._poll.found(len(page.events), self._clock.monotonic(), listening=self._is_listening())
        self._signals.emit("relay.read", events=len(page.events))

    def _send(self) -> None:
        while not self.acknowledgements.full:
            now = self._clock.monotonic()
            if not self._broker.may_begin(len(self._calls), now) or self._should_wait_for_fuller_batch(now):
                return
            before = self._backlog.waiting
            batch = self._dispatcher.take()
            if unsendable := self._dispatcher.take_unsendable():
                self._calls.start(self._hold(unsendable))
            # Events that were in memory for too long were dropped, and must be read again.
            self._must_read = self._must_read or self._backlog.waiting < before - len(batch)
            if not batch:
                return
            # Others are ready and stayed behind a batch that is not full: they are sent in isolation, or are too large.
            last = batch[-1].deduplication_id
            self._filling.began(now, last, joinable=len(batch) == BATCH_ENTRIES or not self._backlog.ready)
            self._calls.start(self._publish(batch, self._broker.begin(now)))

    def _should_wait_for_fuller_batch(self, now: float) -> bool:
        return self._backlog.ready < BATCH_ENTRIES and self._filling.waits(len(self._calls), now)

    async def _rest(self) -> None:
        now = self._clock.monotonic()
        retry_at = self._backlog.next_retry_at(now)
        resume_at = self._backlog.next_resume_at(now)
        times = [self._poll.next_at, *self._broker.wake_times(), retry_at or 0.0, resume_at or 0.0]
        if self._must_read or self._backlog.needs_read or self._dispatcher.announced:
            times.append(self._may_read_at)
        if self._backlog.ready:
            times.append(self._filling.wait_ends_at(len(self._calls), now))
        self._alarm.set(min((time for time in times if time > now), default=now + FIRST_POLL_SECONDS), now)
        await self._woken.wait()
        self._woken.clear()
        if retry_at is not None and self._clock.monotonic() >= retry_at:
            self._must_read = True

    async def _publish(self, batch: Sequence[PendingEvent], attempt: CallAttempt) -> None:
        settled = False
        try:
            answer = await self._call(batch)
            await self._dispatcher.record_failures(self._apply(batch, answer, attempt).failed)
            settled = True
        finally:
            self._broker.end(attempt)
            # However this ended, no event stays in flight that nothing waits for.
            if not settled:
                self._abandon(batch)

    def _apply(self, batch: Sequence[PendingEvent], answer: CallOutcome, attempt: CallAttempt) -> CallResult:
        now = self._clock.monotonic()
        try:
            answer = self._broker.evaluate(batch, answer, attempt, now)
            result = self._dispatcher.apply(batch, answer)
            self.acknowledgements.add(result.acknowledged)
        except BaseException as error:
            # The backlog may be inconsistent: the loop starts again from an empty one.
            self._broken = error if isinstance(error, Exception) else EventTrioError(repr(error))
            raise
        self._must_read = self._must_read or isinstance(answer, BrokerOutage | NotAttempted)
        self._metrics.calls.labels(outcome=label_of(answer)).inc()
        self._metrics.call_seconds.observe(now - attempt.began)
        self._filling.answered(now - attempt.began)
        if isinstance(answer, NotAttempted):
            self._filling.not_attempted(batch[-1].deduplication_id)
        self._metrics.batch_size.observe(len(batch))
        return result

    async def _call(self, batch: Sequence[PendingEvent]) -> CallOutcome:
        try:
            return await self._publisher.publish(batch)
        except Exception as error:
            # An unexpected error may be caused by one event, so its events are sent in isolation.
            log.exception("a call to the broker failed unexpectedly", action="relay.call_failed")
            return CallRejected(operator_text(error)[:REASON_CHARACTERS])

    async def _hold(self, unsendable: CallResult) -> None:
        try:
            await self._dispatcher.record_failures(unsendable.failed)
        finally:
            self._abandon([event for event, _ in unsendable.failed])

    def _abandon(self, events: Sequence[PendingEvent]) -> None:
        if self._dispatcher.abandon(events):
            self._must_read = True

    def _on_recorded(self) -> None:
        if self._backlog.needs_read:
            self._woken.set()

    def _on_call_done(self) -> None:
        self._filling.ended(self._clock.monotonic())
        self.acknowledgements.nudge()
        self._woken.set()

    def _on_lanes_changed(self, lost: set[int]) -> None:
        self._dispatcher.drop_lanes(lost)
        self.wake()
