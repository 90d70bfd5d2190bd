"""Everything that follows an exception: what caused it, and whether the event is retried, deferred or given up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...database.faults import Fault, fault_of
from ...error_text import describe, operator_text
from ...errors import EventRejected
from ...inbox.delivery import Delivery
from ...inbox.states import ClaimResult, DeferredState, InboxOutcome, Status
from ..database_breaker import DatabaseBreaker
from ..delivery import commit_deferred
from ..errors import DependencyUnavailable, HandlerTimeout, InvalidPayload, Reject, RetryLater
from ..outcome import (
    DeadLettered,
    Deferred,
    Duplicate,
    FailurePublished,
    Ignored,
    Outcome,
    RetryScheduled,
    Unavailable,
)
from ..policies import (
    DeadLetter,
    DeferFor,
    FinalPolicy,
    Ignore,
    Rest,
    RetryAfter,
    final_policy,
    next_step,
    rest_of,
    wait_for,
)
from ..router import AnyRoute
from ..telemetry import Telemetry
from .attempt import Attempt
from .handler_task import run_handler

log = structlog.get_logger(__name__)

UNCOUNTED_FAILURES = 30
"""How many failures of the database are not counted against one event. An event that brings the database down, or
whose transaction always conflicts, must come to an end; with the waits in between this takes some minutes."""
REMEMBERED = 10_000


class Failures:
    """Brings a failed attempt to its outcome. Only a mistake in this code raises."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        breaker: DatabaseBreaker,
        telemetry: Telemetry,
        *,
        after_commit: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._classifier = FailureClassifier(breaker)
        self._telemetry = telemetry
        self._after_commit = after_commit

    async def handle(self, attempt: Attempt, route: AnyRoute, error: BaseException) -> Outcome:
        """Classify the error, and do what the policy of the route says."""
        delivery = attempt.delivery
        if isinstance(error, InvalidPayload):
            return await self.dead_letter(delivery, "invalid_payload", error)
        if (unavailable := await self._classifier.unavailable(delivery, error, attempt)) is not None:
            self._telemetry.postponed(delivery, unavailable)
            return unavailable
        self.forget(delivery)
        reason = "failed"
        if attempt.timed_out:
            error, reason = HandlerTimeout(f"the handler took longer than {route.timeout} s"), "timeout"
        step: RetryAfter | DeferFor | FinalPolicy
        if isinstance(error, Reject | EventRejected):
            return await self._give_up(attempt, route, final_policy(route.policy), "rejected", error)
        if isinstance(error, DependencyUnavailable):
            reason = "dependency_unavailable"
            step = wait_for(error.seconds, spent=delivery.spent_in_flight, rest=rest_of(route.policy))
        else:
            delivery.failures += 1
            delivery.spent += attempt.seconds
            step = next_step(
                route.policy,
                attempts=delivery.failures,
                spent=delivery.spent_in_flight,
                asked=error.seconds if isinstance(error, RetryLater) else None,
            )
        match step:
            case RetryAfter(after):
                delivery.spent += after
                retry = RetryScheduled(after, describe(error))
                self._telemetry.postponed(delivery, retry, attempt=delivery.failures, error=error)
                return retry
            case DeferFor(after, rest):
                return await self._defer(delivery, reason, error, after=after, blocks=rest is Rest.WAIT)
            case _:
                return await self._give_up(attempt, route, step, reason, error)

    async def dead_letter(
        self, delivery: Delivery, reason: str, error: BaseException, *, rest: Rest = Rest.PASS
    ) -> Outcome:
        """Make the event a dead letter."""
        state = DeferredState(Status.DEAD, reason, operator_text(error), delivery.failures, blocks=rest is Rest.WAIT)
        return await self._commit(delivery, state, DeadLettered(reason, state.error), error)

    async def ignore(self, delivery: Delivery, reason: str, error: BaseException) -> Outcome:
        """Acknowledge the event without handling it; only its inbox row is written."""

        async def claim() -> ClaimResult:
            async with self._sessions.begin() as session:
                return await delivery.claim(session, new=InboxOutcome.IGNORED, stale=InboxOutcome.IGNORED)

        return await self._end(delivery, claim, Ignored(reason, describe(error)), error)

    def forget(self, delivery: Delivery) -> None:
        """Forget the failures of the database that were not counted against the event."""
        self._classifier.forget(delivery)

    async def _defer(
        self, delivery: Delivery, reason: str, error: BaseException, *, after: float, blocks: bool
    ) -> Outcome:
        text = operator_text(error)
        state = DeferredState(Status.WAITING, reason, text, delivery.failures, due_in=after, blocks=blocks)
        return await self._commit(delivery, state, Deferred(after, describe(error)), error)

    async def _commit(
        self, delivery: Delivery, state: DeferredState, outcome: Outcome, error: BaseException
    ) -> Outcome:
        try:
            result = await commit_deferred(self._sessions, delivery, state)
        except Exception as raised:
            unavailable = await self._classifier.unavailable(delivery, raised)
            if unavailable is None:
                raise
            self._telemetry.postponed(delivery, unavailable)
            return unavailable
        return self._completed(delivery, result, outcome, error)

    async def _give_up(
        self, attempt: Attempt, route: AnyRoute, last: FinalPolicy, reason: str, error: BaseException
    ) -> Outcome:
        """Do what the policy says comes last. Without its payload the failure of an event cannot be published."""
        delivery, event, on_failure = attempt.delivery, attempt.event, route.on_failure
        if isinstance(last, DeadLetter):
            return await self.dead_letter(delivery, reason, error, rest=last.rest)
        if isinstance(last, Ignore):
            return await self.ignore(delivery, reason, error)
        if event is None or on_failure is None:
            return await self.dead_letter(delivery, reason, error)
        text, published = describe(error), InboxOutcome.FAILURE_PUBLISHED

        async def publish() -> ClaimResult:
            async with self._sessions.begin() as session:
                result = await delivery.claim(session, new=published, stale=published)
                if result is ClaimResult.NEW:
                    await run_handler(lambda: on_failure(session, event, text))
            return result

        return await self._end(delivery, publish, FailurePublished(reason, text), error)

    async def _end(
        self,
        delivery: Delivery,
        write: Callable[[], Awaitable[ClaimResult]],
        outcome: Ignored | FailurePublished,
        error: BaseException,
    ) -> Outcome:
        """Commit an outcome; if the writes themselves are wrong, the event is a dead letter."""
        try:
            result = await write()
        except Exception as raised:  # noqa: BLE001 - whatever it was, the event comes to an outcome
            unavailable = await self._classifier.unavailable(delivery, raised, in_handler=True)
            if unavailable is not None:
                self._telemetry.postponed(delivery, unavailable)
                return unavailable
            log.warning("failure not published", action="consumer.failure_not_published", error=describe(raised))
            return await self.dead_letter(delivery, outcome.reason, error)
        self._after_commit()
        return self._completed(delivery, result, outcome, error)

    def _completed(self, delivery: Delivery, result: ClaimResult, outcome: Outcome, error: BaseException) -> Outcome:
        if result is ClaimResult.DUPLICATE:
            outcome = Duplicate()
        elif result is ClaimResult.BLOCKED:
            outcome = Deferred(None, "its group waits")
        self.forget(delivery)
        self._telemetry.completed(delivery, outcome, error=error)
        return outcome


class FailureClassifier:
    """Decides whether an error says something about the event.

    The database as a whole counts as unavailable only when it does not accept a write at that moment.
    """

    def __init__(self, breaker: DatabaseBreaker) -> None:
        self._breaker = breaker
        self._uncounted: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def unavailable(
        self, delivery: Delivery, error: BaseException, attempt: Attempt | None = None, *, in_handler: bool = False
    ) -> Unavailable | None:
        """The outcome of an error that the event did not cause, or None.

        Without an `attempt` the error was raised by a transaction of the consumer, which runs a handler or none.
        """
        fault = await self._fault(error, attempt or Attempt(delivery, in_database=True, in_handler=in_handler))
        if fault is None or self._count(delivery) > UNCOUNTED_FAILURES:
            return None
        return Unavailable(describe(error), whole=fault is Fault.UNAVAILABLE)

    def forget(self, delivery: Delivery) -> None:
        """The event came to an outcome."""
        self._uncounted.pop((delivery.consumer, delivery.event.id), None)

    async def _fault(self, error: BaseException, attempt: Attempt) -> Fault | None:
        fault = fault_of(error)
        if attempt.timed_out or isinstance(error, TimeoutError):
            # A connection that was lost unnoticed gives no answer, while a new one works.
            ours = attempt.in_database and not (attempt.in_handler or attempt.used_most_of_its_time)
            return await self._unless_it_answers(Fault.TRANSIENT if ours else None)
        if fault is Fault.NOT_MIGRATED:
            # Without the inbox nothing can be handled. The tables of the handler are the handler's concern.
            return Fault.UNAVAILABLE if attempt.in_database and not attempt.in_handler else None
        if fault is Fault.UNAVAILABLE:
            return await self._unless_it_answers(Fault.TRANSIENT)
        if fault is None and isinstance(error, OSError):
            return await self._unless_it_answers(None)
        return fault if fault is Fault.TRANSIENT else None

    async def _unless_it_answers(self, otherwise: Fault | None) -> Fault | None:
        return otherwise if await self._breaker.answers() else Fault.UNAVAILABLE

    def _count(self, delivery: Delivery) -> int:
        key = (delivery.consumer, delivery.event.id)
        count = self._uncounted[key] = self._uncounted.pop(key, 0) + 1
        if len(self._uncounted) > REMEMBERED:
            # Messages that were left to expire never come to an outcome here.
            self._uncounted.popitem(last=False)
        return count
