"""Takes a delivery from its bytes to its outcome: parse, deduplicate, act, record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ... import failpoints
from ...clock import Clock
from ...contracts.payload import EventPayload
from ...database.faults import Fault, fault_of
from ...error_text import describe, field_path
from ...errors import EventTrioError
from ...inbox import unfinished_attempts
from ...inbox.connections import InboxConnections
from ...inbox.deferred_message import DeferredMessage
from ...inbox.delivery import Delivery
from ...inbox.states import ClaimResult
from ..database_breaker import DatabaseBreaker
from ..decoders import Decoder, cloud_events, decode
from ..delivery import QueueDelivery
from ..errors import InvalidPayload, Reject
from ..event import Event
from ..outcome import Completed, Ignored, NeedsIsolation, Outcome, RetryScheduled, Unavailable
from ..payloads import Erased, PayloadReader
from ..policies import UnknownTypes
from ..router import AnyRoute, NoRoute, Router, Stale
from ..telemetry import Telemetry
from .attempt import Attempt
from .failures import Failures
from .handler_task import run_handler
from .recording import Recorder, without_handler

log = structlog.get_logger(__name__)

UNFINISHED_ATTEMPTS = 3
"""How many times a process may end while it handles a message before the message is a dead letter."""
MARGIN_HOURS = 24.0
"""An event is no longer handled this long before its inbox row could be pruned."""


class Pipeline:
    """Handles the deliveries of one consumer. It keeps nothing between calls.

    `act` of a handler runs first, outside any transaction. Then one transaction holds the inbox row, the handler's
    writes and the events that they record. `after_commit` is called after every such commit. `retention_hours` is how
    long inbox rows are kept: an event nearly as old may have been handled already, so it becomes a dead letter; None
    means that rows are kept for ever. `connections` are of the engine of `sessions`; without them each event takes one
    from the engine's pool.
    """

    def __init__(
        self,
        consumer: str,
        router: Router,
        sessions: async_sessionmaker[AsyncSession],
        breaker: DatabaseBreaker,
        telemetry: Telemetry,
        clock: Clock,
        *,
        decoder: Decoder = cloud_events,
        unknown_types: UnknownTypes = UnknownTypes.DEAD_LETTER,
        payloads: PayloadReader | None = None,
        retention_hours: float | None = None,
        after_commit: Callable[[], None] = lambda: None,
        connections: InboxConnections | None = None,
    ) -> None:
        self.consumer = consumer
        self._router = router
        self._sessions = sessions
        self._telemetry = telemetry
        self._clock = clock
        self._decoder = decoder
        self._unknown_types = unknown_types
        self._payloads = payloads
        self._oldest = None if retention_hours is None else timedelta(hours=retention_hours - MARGIN_HOURS)
        self._recorder = Recorder(sessions, connections or InboxConnections(sessions), after_commit=after_commit)
        self._failures = Failures(sessions, breaker, telemetry, after_commit=after_commit)

    def ensure_kept(self, seconds: float, *, how: str) -> None:
        """Raise ConfigurationError if a handler may take longer than its message is kept."""
        self._router.ensure_kept(seconds, how=how)

    async def process(self, delivery: Delivery) -> Outcome | NeedsIsolation:
        """Bring the delivery to an outcome. Only a cancellation or a mistake in this code raises."""
        try:
            delivery.accept(decode(self._decoder, delivery))
        except EventTrioError as error:
            with self._telemetry.about(delivery):
                return await self._failures.dead_letter(delivery, "unreadable", error)
        with self._telemetry.about(delivery):
            if self._is_too_old(delivery):
                old = Reject("older than the time for which the inbox knows what was handled")
                return await self._failures.dead_letter(delivery, "too_old", old)
            if (outcome := await self._begin(delivery)) is not None:
                return outcome
            return await self._end(delivery, await self._handle(delivery))

    async def forget_attempt(self, delivery: QueueDelivery) -> None:
        """Remove the record of an attempt that did not end the process."""
        try:
            async with self._sessions.begin() as session:
                await unfinished_attempts.remove(session, delivery.consumer, delivery.event.id)
            delivery.attempt_recorded = False
        except Exception as error:  # noqa: BLE001 - one attempt too many is only a step towards a dead letter
            log.warning("attempt not removed", action="consumer.attempt_not_cleared", error=describe(error))

    def _is_too_old(self, delivery: Delivery) -> bool:
        time = delivery.event.time
        if self._oldest is None or time is None or delivery.is_recorded:
            return False
        return self._clock.now() - time > self._oldest

    async def _begin(self, delivery: Delivery) -> Outcome | NeedsIsolation | None:
        """Record the start of a delivery that may end the process; an outcome if it may not start."""
        starts = 0
        if isinstance(delivery, DeferredMessage):
            starts = delivery.starts
        elif isinstance(delivery, QueueDelivery) and delivery.possibly_poisonous and not delivery.attempt_recorded:
            try:
                async with self._sessions.begin() as session:
                    found = await self._record_start(session, delivery)
            except Exception as error:  # noqa: BLE001 - no handler has run, so only the database can have failed
                whole = fault_of(error) in (Fault.UNAVAILABLE, Fault.NOT_MIGRATED)
                unavailable = Unavailable(describe(error), whole=whole)
                self._telemetry.postponed(delivery, unavailable)
                return unavailable
            if isinstance(found, NeedsIsolation):
                return found
            delivery.attempt_recorded = found > 0
            starts = found
        if starts <= UNFINISHED_ATTEMPTS:
            return None
        ended = Reject(f"the process ended {UNFINISHED_ATTEMPTS} times while it was handled")
        return await self._end(delivery, await self._failures.dead_letter(delivery, "process_died", ended))

    async def _record_start(self, session: AsyncSession, delivery: QueueDelivery) -> int | NeedsIsolation:
        """How many attempts are unfinished, this one included."""
        consumer, event_id = delivery.consumer, delivery.event.id
        if await delivery.look(session) is ClaimResult.DUPLICATE:
            await unfinished_attempts.clear(session, consumer, event_id)
            return 0
        if not delivery.isolated and await unfinished_attempts.count(session, consumer, event_id):
            return NeedsIsolation()
        return await unfinished_attempts.add(session, consumer, event_id)

    async def _end(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        if isinstance(delivery, QueueDelivery) and delivery.attempt_recorded:
            if isinstance(outcome, RetryScheduled):
                # A process that ends while it waits does not end because of it.
                await self.forget_attempt(delivery)
            elif not isinstance(outcome, Unavailable):
                delivery.attempt_recorded = False
        return outcome

    async def _handle(self, delivery: Delivery) -> Outcome:
        route = self._router.find(delivery.event)
        if isinstance(route, NoRoute):
            if route.reason == "unknown_type" and self._unknown_types is UnknownTypes.IGNORE:
                return await self._failures.ignore(delivery, route.reason, Reject(route.error))
            return await self._failures.dead_letter(delivery, route.reason, Reject(route.error))
        attempt = Attempt(delivery, route.timeout)
        started = self._clock.monotonic()
        limit = asyncio.timeout(route.timeout)
        try:
            async with limit:
                outcome = await self._run(attempt, route)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            attempt.timed_out = limit.expired()
            attempt.seconds = self._clock.monotonic() - started
            return await self._failures.handle(attempt, route, error)
        self._failures.forget(delivery)
        self._telemetry.finished(delivery, outcome, self._clock.monotonic() - started)
        return outcome

    async def _run(self, attempt: Attempt, route: AnyRoute) -> Completed:
        """Look into the inbox if there is anything to do before the transaction; act; record."""
        delivery = attempt.delivery
        result = ClaimResult.NEW
        if route.act is not None or delivery.event.data is None:
            attempt.in_database = True
            result = await self._recorder.look(delivery)
            attempt.in_database = False
            if (outcome := without_handler(result)) is not None:
                return outcome
        payload = await self._payload(delivery, route)
        if payload is None:
            attempt.in_database = True
            return await self._recorder.ignore(delivery, Ignored("erased", "its publisher has erased the payload"))
        stale = result is ClaimResult.STALE
        event: Event[Any] = Event(payload, delivery.event, stale=stale, attempt=delivery.failures + 1)
        attempt.event = event
        acted: object = None
        if route.act is not None and not (stale and route.stale is Stale.SKIP):
            began, act = self._clock.monotonic(), route.act
            acted = await run_handler(lambda: act(event))
            attempt.act_seconds = self._clock.monotonic() - began
            failpoints.hit("consumer.after_act")
        attempt.in_database = True
        return await self._recorder.record(attempt, route, event, acted)

    async def _payload(self, delivery: Delivery, route: AnyRoute) -> EventPayload | None:
        """The validated payload, wherever it is kept; None if the publisher has erased it."""
        data, envelope = delivery.event.data, delivery.event.envelope
        if data is None:
            if self._payloads is None or envelope is None or envelope.dataref is None:
                raise InvalidPayload("the event carries no data, and this consumer reads none elsewhere")
            found = await self._payloads.read(envelope, within=route.timeout / 2)
            if isinstance(found, Erased):
                return None
            data = found
        try:
            payload: EventPayload = route.payload.model_validate(data)
        except ValidationError as error:
            raise InvalidPayload(_without_input(error)) from None
        return payload


def _is_cancelled() -> bool:
    """Whether this task is to end, as opposed to a handler that raises CancelledError itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _without_input(error: ValidationError) -> str:
    """What is wrong with a payload, without its content, which may be personal."""
    return "; ".join(
        f"{field_path(problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )
