"""Takes one delivery from its body to an outcome."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...clock import Clock
from ...database.faults import Fault, fault_of
from ...envelope import Envelope
from ...errors import MalformedEnvelope
from ...inbox import unfinished_attempts
from ...inbox.arrival import Arrival
from ...inbox.guard import ClaimResult, Identity
from ..errors import Reject, describe
from ..outcome import NeedsIsolation, Outcome, Retry, Unavailable
from ..sources.delivery import Delivery
from ..telemetry import Telemetry
from .pipeline import Pipeline
from .work import Effort, Work

log = structlog.get_logger(__name__)

STARTS_WITHOUT_END = 3
"""How many times a process may die over a message before the message is a dead letter."""
LARGEST_SEQUENCE = 2**63 - 1
MARGIN_HOURS = 24.0
"""So much before its inbox row could be pruned an event is no longer handled."""


class Intake:
    """Handles deliveries of one consumer, each to its end. It keeps nothing between calls.

    `retention_hours` is how long inbox rows are kept: an event that is nearly as old might have been handled by now
    without a trace, so it is a dead letter. None means for ever.
    """

    def __init__(
        self,
        consumer: str,
        sessions: async_sessionmaker[AsyncSession],
        pipeline: Pipeline,
        telemetry: Telemetry,
        clock: Clock,
        *,
        retention_hours: float | None = None,
    ) -> None:
        self._consumer = consumer
        self._sessions = sessions
        self._pipeline = pipeline
        self._telemetry = telemetry
        self._clock = clock
        self._handled_for = None if retention_hours is None else timedelta(hours=retention_hours - MARGIN_HOURS)

    def ensure_kept(self, seconds: float, *, how: str) -> None:
        """Raise ConfigurationError if a handler may take longer than its message is kept."""
        self._pipeline.ensure_kept(seconds, how=how)

    async def process(self, delivery: Delivery, *, in_place: bool = True) -> Outcome | NeedsIsolation:
        """Do with the delivery what can be done now. Only a cancellation or a mistake in this code raises.

        Unless it may stay `in_place`, it is put aside after a failure, however short the wait is.
        """
        message = delivery.message
        try:
            envelope = readable(delivery.body)
        except MalformedEnvelope as error:
            identity = Identity.unreadable(self._consumer, message_id=message.message_id, group=delivery.group)
            with self._telemetry.about(identity):
                return await self._pipeline.terminal.dead_letter(self._arrival(delivery, identity), "unreadable", error)
        identity = Identity.of(self._consumer, envelope, message_id=message.message_id, group=delivery.group)
        with self._telemetry.about(identity, envelope):
            entry = self._arrival(delivery, identity)
            if self._handled_for is not None and self._clock.now() - envelope.time > self._handled_for:
                old = Reject("older than the time for which it is known what was handled")
                return await self._pipeline.terminal.dead_letter(entry, "too_old", old)
            if delivery.suspect and not delivery.marked and (ended := await self._mark(delivery, entry)) is not None:
                return ended
            effort = Effort(delivery.failures, delivery.spent if in_place else None)
            outcome = await self._pipeline.handle(Work(entry, envelope, effort))
            delivery.failures, delivery.spent = effort.failures, effort.spent or 0.0
            if isinstance(outcome, Retry) and delivery.marked:
                # While it waits, a process that dies does not die over it.
                await self.release(delivery)
            if not isinstance(outcome, Retry | Unavailable):
                delivery.marked = False
            return outcome

    async def release(self, delivery: Delivery) -> None:
        """Take back the mark of a delivery that no longer runs: the process did not die over it."""
        try:
            event_id = str(readable(delivery.body).id)
            async with self._sessions.begin() as session:
                await unfinished_attempts.unmark(session, self._consumer, event_id)
            delivery.marked = False
        except Exception as error:  # noqa: BLE001 - a mark too many is only a step towards a dead letter
            log.warning("mark not taken back", action="consumer.attempt_not_cleared", error=describe(error))

    async def _mark(self, delivery: Delivery, entry: Arrival) -> Outcome | NeedsIsolation | None:
        """Commit that it starts, unless it is settled; an outcome says that it does not start at all."""
        identity = entry.identity
        try:
            async with self._sessions.begin() as session:
                if await entry.look(session) is ClaimResult.DUPLICATE:
                    await unfinished_attempts.clear(session, self._consumer, identity.event_id)
                    return None
                if not delivery.alone and await unfinished_attempts.left_behind(
                    session, self._consumer, identity.event_id
                ):
                    return NeedsIsolation()
                starts = await unfinished_attempts.mark_started(session, self._consumer, identity.event_id)
        except Exception as error:  # noqa: BLE001 - nothing has run yet: only the database can have failed
            unavailable = Unavailable(describe(error), whole=fault_of(error) in (Fault.UNAVAILABLE, Fault.NOT_MIGRATED))
            self._telemetry.postponed(identity, unavailable)
            return unavailable
        delivery.marked = True
        if starts <= STARTS_WITHOUT_END:
            return None
        died = Reject(f"the process ended {STARTS_WITHOUT_END} times while it was handled")
        outcome = await self._pipeline.terminal.dead_letter(entry, "process_died", died, attempts=delivery.failures)
        if not isinstance(outcome, Unavailable):
            delivery.marked = False
        return outcome

    def _arrival(self, delivery: Delivery, identity: Identity) -> Arrival:
        return Arrival(identity, delivery.body, delivery.message.attributes, suspect=delivery.suspect)


def readable(body: bytes) -> Envelope:
    """The envelope, if the inbox can keep what identifies it; raises MalformedEnvelope."""
    envelope = Envelope.parse(body)
    if any("\x00" in text for text in (envelope.source, envelope.subject, envelope.type)):
        raise MalformedEnvelope("not an event envelope: it has the character U+0000 in its source, subject or type")
    if envelope.sequence_number > LARGEST_SEQUENCE:
        raise MalformedEnvelope("not an event envelope: its sequence is too large")
    if not 1 < envelope.time.year < 9999:
        raise MalformedEnvelope("not an event envelope: its time is no time in UTC")
    return envelope
