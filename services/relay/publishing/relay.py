"""The relay's main loop: reads the outbox, keeps several calls to the broker in flight, records acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

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
from .call_tasks import CallTasks
from .dispatcher import AcknowledgedEvent, CallResult, Dispatcher
from .outcome import REASON_CHARACTERS, BrokerOutage, CallOutcome, CallRejected, NotAttempted, label_of
from .poll_interval import FIRST_POLL_SECONDS, PollInterval
from .publisher import Publisher

log = structlog.get_logger(__name__)

# More events are read when fewer unsent events than this are in memory.
LOW_WATER = 400
# Under load acknowledgements are recorded at this interval, so that one statement serves many calls. An acknowledgement
# that is not recorded when the process dies is sent once more, under the same deduplication id.
RECORD_SECONDS = 0.5
RECORD_MOST = 500
# For this long after an answer, a batch that is not full waits for events that the next answers make ready.
FILL_SECONDS = 0.05
# Handing over the lanes must not delay the end of the process; lanes not handed over are free when the lease expires.
LEAVE_SECONDS = 3.0


class Relay:
    """Publishes the events of the outbox to the topic. It polls; `wake` only makes the next read happen sooner."""

    name = "relay"

    def __init__(
        self,
        dispatcher: Dispatcher,
        publisher: Publisher,
        lanes: Lanes,
        backlog: Backlog,
        *,
        calls_in_flight: int = 8,
        idle_seconds: float = 1.0,
        is_listening: Callable[[], bool],
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
        self._clock = clock
        self._metrics = metrics
        self._signals = signals
        self._woken = asyncio.Event()
        lanes.on_change(self._on_lanes_changed)
        self._reset()

    def _reset(self) -> None:
        """Forget what an earlier run of this loop left behind."""
        self._dispatcher.reset()
        self._must_read = True
        self._read_after_recording = False
        self._answered_at = 0.0
        self._broken: BaseException | None = None
        self._poll = PollInterval(self._idle_seconds)
        self._calls = CallTasks(self._on_call_done)
        self._metrics.in_flight.set_function(self._calls.__len__)
        self._broker = BrokerState(self._calls_in_flight, metrics=self._metrics, signals=self._signals)
        self._recorder: BatchWriter[AcknowledgedEvent] = BatchWriter(
            "relay.record", self._record, most=RECORD_MOST, interval=RECORD_SECONDS, hurry=self._recording_is_urgent
        )

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
        # The event may belong to a group in memory, which is not read again before its sent events are recorded.
        self._read_after_recording = True
        self._poll.shorten()
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until asked to stop, then finish the calls in flight and hand over the lanes.

        Raises unexpected errors; the supervisor then runs the loop again, with an empty backlog.
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
                self._raise_failure(recorder)
            await self._drain(recorder)
        finally:
            stop.cancel()
            recorder.cancel()
            await self._calls.cancel()
            await asyncio.gather(stop, recorder, return_exceptions=True)
            if stopping.is_set():
                await self.leave()

    async def leave(self) -> None:
        """Hand over the lanes. A second call does nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._lanes.leave()

    async def _drain(self, recorder: asyncio.Task[None]) -> None:
        await self._calls.finished()
        drained = asyncio.create_task(self._recorder.drained())
        await asyncio.wait({drained, recorder}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        self._raise_failure(recorder)

    def _raise_failure(self, recorder: asyncio.Task[None]) -> None:
        if recorder.cancelled():
            raise EventTrioError("the recording of acknowledgements was cancelled")
        failure = recorder.exception() if recorder.done() else self._broken or self._calls.error
        if failure is not None:
            raise failure

    def _should_read(self) -> bool:
        now = self._clock.monotonic()
        return (
            (self._must_read or now >= self._poll.next_at)
            and self._backlog.waiting < LOW_WATER
            and not self._recorder.full
            and self._broker.may_call(now)
        )

    async def _read(self) -> None:
        self._must_read = False
        if not self._backlog.in_hand:
            self._read_after_recording = False
        try:
            page = await self._dispatcher.read()
        except DATABASE_FAULTS as error:
            log.warning("cannot read the outbox", action="relay.read_failed", error=describe(error))
            self._poll.failed(self._clock.monotonic())
            return
        self._must_read = self._must_read or not page.exhausted
        if page.events:
            self._poll.found_events(self._clock.monotonic(), listening=self._is_listening())
        else:
            self._poll.found_nothing(self._clock.monotonic())
        self._signals.emit("relay.read", events=len(page.events))

    def _send(self) -> None:
        while not self._recorder.full:
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
            self._calls.start(self._publish(batch, self._broker.begin(now)))

    def _should_wait_for_fuller_batch(self, now: float) -> bool:
        few = self._backlog.ready < BATCH_ENTRIES
        return len(self._calls) > 1 and few and now < self._answered_at + FILL_SECONDS

    def _recording_is_urgent(self) -> bool:
        return not self._calls or self._backlog.wants_more

    async def _rest(self, stop: asyncio.Task[bool], recorder: asyncio.Task[None]) -> None:
        if self._must_read and self._should_read():
            await asyncio.sleep(0)
            return
        now = self._clock.monotonic()
        times = [self._poll.next_at, *self._broker.wake_times()]
        times += [self._backlog.next_retry_at(now) or 0.0, self._backlog.next_resume_at(now) or 0.0]
        if self._backlog.ready and self._calls:
            times.append(self._answered_at + FILL_SECONDS)
        wait = min((time - now for time in times if time > now), default=FIRST_POLL_SECONDS)
        self._woken.clear()
        woken = asyncio.create_task(self._woken.wait())
        await asyncio.wait({stop, recorder, woken}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        retry_at = self._backlog.next_retry_at(now)
        if retry_at is not None and self._clock.monotonic() >= retry_at:
            self._must_read = True

    async def _publish(self, batch: Sequence[PendingEvent], attempt: CallAttempt) -> None:
        try:
            answer = await self._call(batch)
            await self._dispatcher.record_failures(self._apply(batch, answer, attempt).failed)
        finally:
            self._broker.end(attempt)
            # However this ended, no event stays in flight that nothing waits for.
            self._abandon(batch)

    def _apply(self, batch: Sequence[PendingEvent], answer: CallOutcome, attempt: CallAttempt) -> CallResult:
        now = self._clock.monotonic()
        try:
            answer = self._broker.evaluate(batch, answer, attempt, now)
            result = self._dispatcher.apply(batch, answer)
            self._recorder.add(result.acknowledged)
        except BaseException as error:
            # The backlog may be inconsistent: the loop starts again from an empty one.
            self._broken = error if isinstance(error, Exception) else EventTrioError(repr(error))
            raise
        self._must_read = self._must_read or isinstance(answer, BrokerOutage | NotAttempted)
        self._metrics.calls.labels(outcome=label_of(answer)).inc()
        self._metrics.call_seconds.observe(now - attempt.began)
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

    async def _record(self, acknowledged: Sequence[AcknowledgedEvent]) -> None:
        more = self._backlog.wants_more
        await self._dispatcher.record_acknowledgements(acknowledged)
        for each in acknowledged:
            self._signals.emit("relay.sent", event_id=each.event.event_id, subject=each.event.subject)
        if more or self._read_after_recording:
            self._must_read = True
            self._woken.set()

    def _on_call_done(self) -> None:
        self._answered_at = self._clock.monotonic()
        self._recorder.nudge()
        self._woken.set()

    def _on_lanes_changed(self, lost: set[int]) -> None:
        self._dispatcher.drop_lanes(lost)
        self.wake()
