"""The acknowledgements that are not recorded yet: each is recorded with the confirmation of its event, or by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from event_trio.clock import Clock
from event_trio.signals import Signals

from .backlog import Backlog, PendingEvent
from .batch_writer import BatchWriter
from .dispatcher import AcknowledgedEvent, Dispatcher
from .outbox_updates import Confirmation, Publication

# An acknowledgement waits so long for the confirmation of its event, or less if no other is added meanwhile. What is
# not recorded when the process dies is sent once more, under the same deduplication id.
RECORD_SECONDS = 1.0
QUIET_SECONDS = 0.25
# So many are written at once, however short they have waited; with so many unwritten, no more events are sent.
MOST = 2000
KEPT = 2500


class AcknowledgementRecorder:
    """Records acknowledgements.

    An acknowledged event usually comes back through the publish check within milliseconds. If its acknowledgement is
    not recorded by then, one update records both, which costs the database half as much as two. Where a group waits
    for the record of its acknowledgements, they are recorded at once.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        backlog: Backlog,
        *,
        clock: Clock,
        signals: Signals,
        on_recorded: Callable[[], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._clock = clock
        self._signals = signals
        self._on_recorded = on_recorded
        self.reset()

    def reset(self) -> None:
        """Forget all acknowledgements; their events are sent again."""
        self._writer: BatchWriter[AcknowledgedEvent] = BatchWriter(
            "relay.record",
            self._write,
            most=MOST,
            kept=KEPT,
            interval=RECORD_SECONDS,
            hurry=lambda: self._backlog.blocked,
            quiet=lambda: QUIET_SECONDS,
            hold=True,
            key=lambda acknowledged: acknowledged.event.deduplication_id,
        )

    @property
    def full(self) -> bool:
        """Whether no more events should be sent until acknowledgements are recorded."""
        return self._writer.full

    def add(self, acknowledged: Sequence[AcknowledgedEvent]) -> None:
        """Record these soon."""
        self._writer.add(acknowledged)

    def nudge(self) -> None:
        """Record all of them now, if a group waits for that."""
        if self._backlog.blocked:
            self._writer.nudge()

    def completed(self, confirmation: Confirmation, deduplication_id: str) -> Confirmation:
        """Return the confirmation of a send with the acknowledgement of the same send, if that is not recorded yet."""
        if (found := self._writer.find(deduplication_id)) is None:
            return confirmation
        age = self._clock.monotonic() - found.at
        return Confirmation(confirmation.event_id, confirmation.republished, found.message_id, age)

    def confirmed(self, news: Mapping[str, Publication]) -> None:
        """Events became published, by deduplication id, and with them their completed acknowledgements recorded.

        An acknowledgement whose event did not become published now is not among these, and is recorded by itself.
        """
        if taken := [acknowledged.event for acknowledged in self._writer.take(news)]:
            times = [news[event.deduplication_id] for event in taken]
            self._dispatcher.recorded(taken, [max(0.0, each.since_recorded - each.since_sent) for each in times])
            self._announce(taken)

    async def run(self) -> None:
        """Record until cancelled."""
        await self._writer.run()

    async def drained(self) -> None:
        """Wait until all acknowledgements are recorded."""
        await self._writer.drained()

    async def _write(self, acknowledged: Sequence[AcknowledgedEvent]) -> None:
        await self._dispatcher.record_acknowledgements(acknowledged)
        self._announce([each.event for each in acknowledged])

    def _announce(self, events: Sequence[PendingEvent]) -> None:
        self._signals.emit(
            "relay.sent", event_ids=[each.event_id for each in events], subjects=[each.subject for each in events]
        )
        self._on_recorded()
