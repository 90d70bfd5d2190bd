"""Takes one delivery through envelope, inbox and handler to an outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .. import failpoints
from ..clock import Clock
from ..contracts.payload import EventPayload
from ..envelope import Envelope
from ..errors import EventRefused, EventTrioError, MalformedEnvelope
from ..inbox import marks
from ..inbox.deferred import bury
from ..inbox.guard import Identity, InboxOutcome, Standing, claim, look
from .delivery import Delivery
from .event import Event
from .failures import HandlerTimeout, Reject, describe, is_database_failure
from .gate import Gate
from .outcome import DeadLettered, Done, Handled, Outcome, Retry, Settled, Skipped, Unavailable
from .policies import Again, next_step
from .reporting import Report
from .router import AnyRoute, NoRoute, Router, Stale

log = structlog.get_logger(__name__)

STARTS_WITHOUT_END = 3
"""How many times a process may die over a message before the message is a dead letter."""
LARGEST_SEQUENCE = 2**63 - 1

AnyEvent: TypeAlias = Event[Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """A delivery of which the envelope could be read."""

    delivery: Delivery
    identity: Identity
    envelope: Envelope


@dataclass(slots=True)
class _Progress:
    in_database: bool = False


class Processor:
    """Handles deliveries of one consumer, each to its end. It keeps nothing between calls.

    Outside the database `act` runs first, in no transaction; then one transaction holds the inbox row, the handler's
    writes and the events that they cause. `after_commit` is told of every such commit.
    """

    def __init__(
        self,
        consumer: str,
        router: Router,
        sessions: async_sessionmaker[AsyncSession],
        gate: Gate,
        report: Report,
        clock: Clock,
        *,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer = consumer
        self._router = router
        self._sessions = sessions
        self._gate = gate
        self._report = report
        self._clock = clock
        self._after_commit = after_commit

    async def process(self, delivery: Delivery) -> Outcome:
        """Do with the delivery what can be done now. Only a cancellation or a mistake in this code raises."""
        message = delivery.message
        try:
            envelope = _readable(delivery.body)
        except MalformedEnvelope as error:
            identity = Identity.unreadable(self._consumer, message_id=message.message_id, group=delivery.group)
            with self._report.about(identity):
                return await self._bury(delivery, identity, "unreadable", error)
        identity = Identity.of(self._consumer, envelope, message_id=message.message_id, group=delivery.group)
        with self._report.about(identity, envelope):
            known = _Known(delivery, identity, envelope)
            route = self._router.find(envelope)
            if isinstance(route, NoRoute):
                return await self._bury(delivery, identity, route.reason, Reject(route.error))
            try:
                payload: EventPayload = route.payload.model_validate(envelope.data)
            except ValidationError as error:
                return await self._bury(delivery, identity, "invalid_payload", Reject(_without_input(error)))
            return await self._attempt(known, route, payload)

    async def release(self, delivery: Delivery) -> None:
        """Take back the mark of a delivery that is left to expire: the process did not die over it."""
        try:
            event_id = str(_readable(delivery.body).id)
            async with self._sessions.begin() as session:
                await marks.unmark(session, self._consumer, event_id)
            delivery.marked = False
        except Exception as error:  # noqa: BLE001 - a mark too many is only a step towards a dead letter
            log.warning("mark not taken back", action="consumer.unmark_failed", error=describe(error))

    async def _attempt(self, known: _Known, route: AnyRoute, payload: EventPayload) -> Outcome:
        started = self._clock.monotonic()
        delivery = known.delivery
        progress = _Progress()
        try:
            starts = await self._mark(known) if delivery.suspect and not delivery.marked else 0
            if starts > STARTS_WITHOUT_END:
                died = Reject(f"the process ended {STARTS_WITHOUT_END} times while it was handled")
                return await self._bury(delivery, known.identity, "process_died", died)
        except Exception as error:  # noqa: BLE001 - nothing has run yet: only the database can have failed
            return self._unavailable(known.identity, error)
        limit = asyncio.timeout(route.timeout)
        try:
            async with limit:
                outcome = await self._run(known, route, payload, progress)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            failure = HandlerTimeout(f"the handler took longer than {route.timeout} s") if limit.expired() else error
            spent = self._clock.monotonic() - started
            if await self._is_databases_fault(error, progress, timed_out=limit.expired()):
                return self._unavailable(known.identity, error)
            if isinstance(error, Reject | EventRefused):
                return await self._bury(delivery, known.identity, "rejected", error)
            return await self._failed(known, route, failure, spent, "timeout" if limit.expired() else "failed")
        self._report.finished(known.identity, known.envelope, outcome, self._clock.monotonic() - started)
        return outcome

    async def _run(self, known: _Known, route: AnyRoute, payload: EventPayload, progress: _Progress) -> Done:
        event: AnyEvent = Event(payload, known.envelope, stale=False, attempt=known.delivery.failures + 1)
        acted: object = None
        if route.act is not None:
            progress.in_database = True
            async with self._sessions() as session:
                standing = await look(session, known.identity)
            progress.in_database = False
            if standing is Standing.SETTLED:
                return Settled()
            if standing is Standing.FRESH or route.stale is Stale.HANDLE:
                acted = await route.act(replace(event, stale=standing is Standing.STALE))
                failpoints.hit("consumer.after_act")
        progress.in_database = True
        async with self._sessions.begin() as session:
            skip = route.stale is Stale.SKIP
            stale = InboxOutcome.SKIPPED_STALE if skip else InboxOutcome.HANDLED_STALE
            standing = await claim(session, known.identity, stale=stale)
            if known.delivery.marked:
                await marks.clear(session, self._consumer, known.identity.event_id)
            if standing is Standing.SETTLED:
                return Settled()
            if standing is Standing.STALE and skip:
                return Skipped()
            await route.record(session, replace(event, stale=standing is Standing.STALE), acted)
            failpoints.hit("consumer.before_commit")
        failpoints.hit("consumer.after_commit")
        known.delivery.marked = False
        self._after_commit()
        return Handled(stale=standing is Standing.STALE)

    async def _failed(self, known: _Known, route: AnyRoute, error: BaseException, spent: float, reason: str) -> Outcome:
        delivery = known.delivery
        delivery.failures += 1
        delivery.spent += spent
        # Jitter is no secret.
        step = next_step(
            route.policy,
            attempts=delivery.failures,
            spent=delivery.spent,
            random=random.random(),  # noqa: S311
        )
        if not isinstance(step, Again):
            return await self._bury(delivery, known.identity, reason, error)
        delivery.spent += step.after
        outcome = Retry(step.after, describe(error))
        self._report.postponed(known.identity, outcome, attempt=delivery.failures, error=error)
        return outcome

    async def _bury(self, delivery: Delivery, identity: Identity, reason: str, error: BaseException) -> Outcome:
        text = str(error) if isinstance(error, EventTrioError) else f"{type(error).__name__}: {error}"
        try:
            try:
                standing = await self._commit_dead_letter(delivery, identity, reason, text)
            except Exception as raised:
                if is_database_failure(raised):
                    raise
                # It may be what identifies the event that the database refuses; without it the event is still kept.
                log.warning("dead letter kept without its particulars", action="consumer.bare", error=describe(raised))
                standing = await self._commit_dead_letter(delivery, identity.bare(), reason, text)
        except Exception as raised:
            if not is_database_failure(raised):
                raise
            return self._unavailable(identity, raised)
        delivery.marked = False
        outcome: Done = Settled() if standing is Standing.SETTLED else DeadLettered(reason, text)
        self._report.settled(identity, outcome)
        return outcome

    async def _commit_dead_letter(self, delivery: Delivery, identity: Identity, reason: str, text: str) -> Standing:
        async with self._sessions.begin() as session:
            standing = await bury(
                session,
                identity,
                reason=reason,
                error=text,
                attempts=delivery.failures,
                envelope=delivery.body,
                attributes=delivery.message.attributes,
            )
            if delivery.suspect:
                await marks.clear(session, self._consumer, identity.event_id)
        return standing

    def _unavailable(self, identity: Identity, error: BaseException) -> Unavailable:
        outcome = Unavailable(describe(error))
        self._report.postponed(identity, outcome)
        return outcome

    async def _mark(self, known: _Known) -> int:
        """Commit that it starts, unless it is settled; returns how many starts have left no trace of an end."""
        async with self._sessions.begin() as session:
            if await look(session, known.identity) is Standing.SETTLED:
                await marks.clear(session, self._consumer, known.identity.event_id)
                return 0
            starts = await marks.mark_started(session, self._consumer, known.identity.event_id)
        known.delivery.marked = True
        return starts

    async def _is_databases_fault(self, error: BaseException, progress: _Progress, *, timed_out: bool) -> bool:
        """Whether to blame the database; where the error alone does not tell, the database is asked."""
        unclear = isinstance(error, TimeoutError) or (isinstance(error, OSError) and not progress.in_database)
        if timed_out or unclear:
            return not await self._gate.answers()
        return is_database_failure(error)


def _readable(body: bytes) -> Envelope:
    """The envelope, if the inbox can keep what identifies it; raises MalformedEnvelope."""
    envelope = Envelope.parse(body)
    if any("\x00" in text for text in (envelope.source, envelope.subject, envelope.type)):
        raise MalformedEnvelope("not an event envelope: it has the character U+0000 in its source, subject or type")
    if envelope.sequence_number > LARGEST_SEQUENCE:
        raise MalformedEnvelope("not an event envelope: its sequence is too large")
    if not 1 < envelope.time.year < 9999:
        raise MalformedEnvelope("not an event envelope: its time is no time in UTC")
    return envelope


def _is_cancelled() -> bool:
    """Whether this task is to end, as opposed to a handler that raises CancelledError of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _without_input(error: ValidationError) -> str:
    """What is wrong with a payload, without its content, which may be personal."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'data'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )
