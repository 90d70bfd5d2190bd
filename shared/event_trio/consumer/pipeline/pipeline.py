"""Takes an event through route, payload, handler and inbox to an outcome, wherever the event comes from."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ... import failpoints
from ...clock import Clock
from ...contracts.payload import EventPayload
from ...error_text import field_path
from ...errors import EventRejected, EventTrioError
from ...inbox.guard import ClaimResult, InboxOutcome
from ..database_breaker import DatabaseBreaker
from ..errors import DependencyUnavailable, HandlerTimeout, InvalidPayload, Reject, RetryLater, describe
from ..event import Event
from ..outcome import Deferred, Done, Duplicate, Handled, Ignored, Outcome, Retry, Skipped
from ..payloads import Erased, PayloadReader
from ..policies import DeferFor, RetryAfter, final_policy, next_step, rest_of, wait_for
from ..router import AnyRoute, NoRoute, Router, Stale
from ..telemetry import Telemetry
from .failure import TerminalOutcomes
from .failure_classifier import FailureClassifier, Progress
from .handler_task import alone
from .work import Work

AnyEvent: TypeAlias = Event[Any]


@dataclass(slots=True)
class _Progress(Progress):
    acted_for: float = 0.0
    event: AnyEvent | None = None


class TransactionEnded(EventTrioError):
    """The handler ended the transaction that it was given: only its caller may commit or roll back."""


class Pipeline:
    """Runs handlers. Outside the database `act` runs first, in no transaction; then one transaction holds the inbox
    row, the handler's writes and the events that they cause. `after_commit` is told of every such commit.
    """

    def __init__(
        self,
        router: Router,
        sessions: async_sessionmaker[AsyncSession],
        breaker: DatabaseBreaker,
        telemetry: Telemetry,
        clock: Clock,
        *,
        after_commit: Callable[[], None] = lambda: None,
        payloads: PayloadReader | None = None,
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._classifier = FailureClassifier(breaker)
        self._telemetry = telemetry
        self._clock = clock
        self._after_commit = after_commit
        self._payloads = payloads
        self.terminal = TerminalOutcomes(sessions, telemetry, self._classifier, after_commit=after_commit)

    def timeout(self, event_type: str | None) -> float:
        """The longest that a handler of the type may take, in seconds."""
        return self._router.timeout(event_type)

    def ensure_kept(self, seconds: float, *, how: str) -> None:
        """Raise ConfigurationError if a handler may take longer than its message is kept."""
        self._router.ensure_kept(seconds, how=how)

    async def handle(self, work: Work) -> Outcome:
        """Do what can be done now. Only a cancellation or a mistake in this code raises."""
        route = self._router.find(work.envelope)
        if isinstance(route, NoRoute):
            return await self.terminal.dead_letter(work.entry, route.reason, Reject(route.error))
        started = self._clock.monotonic()
        progress = _Progress()
        limit = asyncio.timeout(route.timeout)
        try:
            async with limit:
                outcome = await self._run(work, route, progress)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            if isinstance(error, InvalidPayload):
                return await self.terminal.dead_letter(work.entry, "invalid_payload", error)
            progress.late = limit.expired()
            progress.used_up = progress.late and progress.acted_for > route.timeout / 2
            if (unavailable := await self._classifier.outage(work.identity, error, progress)) is not None:
                self._telemetry.postponed(work.identity, unavailable)
                return unavailable
            self._classifier.forget(work.identity)
            spent = self._clock.monotonic() - started
            if limit.expired():
                late = HandlerTimeout(f"the handler took longer than {route.timeout} s")
                return await self._failed(work, route, late, spent, "timeout", progress.event)
            return await self._failed(work, route, error, spent, "failed", progress.event)
        self._classifier.forget(work.identity)
        self._telemetry.finished(work.identity, work.envelope, outcome, self._clock.monotonic() - started)
        return outcome

    async def _run(self, work: Work, route: AnyRoute, progress: _Progress) -> Done:
        result = ClaimResult.NEW
        if route.act is not None or work.envelope.data is None:
            progress.in_database = True
            result = await self._look(work)
            progress.in_database = False
            if result is ClaimResult.DUPLICATE:
                return Duplicate()
            if result is ClaimResult.BLOCKED:
                return Deferred(None, "its group waits")
        payload = await self._payload(work, route)
        if payload is None:
            return await self._erased(work, progress)
        stale = result is ClaimResult.STALE
        event: AnyEvent = Event(payload, work.envelope, stale=stale, attempt=work.effort.failures + 1)
        progress.event = event
        acted: object = None
        if route.act is not None and not (stale and route.stale is Stale.SKIP):
            began = self._clock.monotonic()
            act = route.act
            acted = await alone(lambda: act(event))
            progress.acted_for = self._clock.monotonic() - began
            failpoints.hit("consumer.after_act")
        progress.in_database = True
        return await self._record(work, route, event, acted, progress)

    async def _look(self, work: Work) -> ClaimResult:
        """How it stands; if its group waits, it is put behind it."""
        async with self._sessions() as session:
            result = await work.entry.look(session)
        if result is not ClaimResult.BLOCKED:
            return result
        async with self._sessions() as session:
            handled = InboxOutcome.HANDLED
            result = await work.entry.begin(session, new=handled, stale=handled)
            # Anything else but BEHIND says that the group has stopped waiting meanwhile: then it runs.
            await (session.commit() if result is ClaimResult.BLOCKED else session.rollback())
        return result

    async def _record(self, work: Work, route: AnyRoute, event: AnyEvent, acted: object, progress: _Progress) -> Done:
        async with self._sessions.begin() as session:
            skip = route.stale is Stale.SKIP
            said = InboxOutcome.SKIPPED_STALE if skip else InboxOutcome.HANDLED_STALE
            result = await work.entry.begin(session, new=InboxOutcome.HANDLED, stale=said)
            if result is ClaimResult.DUPLICATE:
                return Duplicate()
            if result is ClaimResult.BLOCKED:
                return Deferred(None, "its group waits")
            if result is ClaimResult.STALE and skip:
                return Skipped()
            progress.in_handler = True
            transaction = session.get_transaction()
            told = replace(event, stale=result is ClaimResult.STALE)
            await alone(lambda: route.record(session, told, acted))
            if session.get_transaction() is not transaction or transaction is None or not transaction.is_active:
                raise TransactionEnded
            progress.in_handler = False
            failpoints.hit("consumer.before_commit")
        failpoints.hit("consumer.after_commit")
        self._after_commit()
        return Handled(stale=result is ClaimResult.STALE)

    async def _payload(self, work: Work, route: AnyRoute) -> EventPayload | None:
        """What the event says, wherever it is kept; None when its publisher has erased it on purpose."""
        data = work.envelope.data
        if data is None:
            if self._payloads is None or work.envelope.dataref is None:
                raise InvalidPayload("the event carries no data, and this consumer reads none elsewhere")
            found = await self._payloads.read(work.envelope, within=route.timeout / 2)
            if isinstance(found, Erased):
                return None
            data = found
        try:
            payload: EventPayload = route.payload.model_validate(data)
        except ValidationError as error:
            raise InvalidPayload(_without_input(error)) from None
        return payload

    async def _erased(self, work: Work, progress: _Progress) -> Done:
        progress.in_database = True
        async with self._sessions.begin() as session:
            ignored = InboxOutcome.IGNORED
            result = await work.entry.begin(session, new=ignored, stale=ignored)
        if result is ClaimResult.BLOCKED:
            return Deferred(None, "its group waits")
        return (
            Duplicate()
            if result is ClaimResult.DUPLICATE
            else Ignored("erased", "its publisher has erased the payload")
        )

    async def _failed(
        self, work: Work, route: AnyRoute, error: BaseException, spent: float, reason: str, event: AnyEvent | None
    ) -> Outcome:
        effort = work.effort
        if isinstance(error, Reject | EventRejected):
            last = final_policy(route.policy)
            return await self.terminal.finish(work, last, "rejected", error, route=route, event=event)
        if isinstance(error, DependencyUnavailable):
            step: object = wait_for(error.seconds, spent=effort.spent, rest=rest_of(route.policy))
            reason = "dependency_unavailable"
        else:
            effort.failures += 1
            if effort.spent is not None:
                effort.spent += spent
            step = next_step(
                route.policy,
                attempts=effort.failures,
                spent=effort.spent,
                random=random.random(),  # noqa: S311 - jitter is no secret
                asked=error.seconds if isinstance(error, RetryLater) else None,
            )
        if isinstance(step, RetryAfter) and effort.spent is not None:
            effort.spent += step.after
            outcome = Retry(step.after, describe(error))
            self._telemetry.postponed(work.identity, outcome, attempt=effort.failures, error=error)
            return outcome
        if isinstance(step, DeferFor):
            return await self.terminal.defer(work, step, reason, error)
        return await self.terminal.finish(work, final_policy(route.policy), reason, error, route=route, event=event)


def _is_cancelled() -> bool:
    """Whether this task is to end, as opposed to a handler that raises CancelledError of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _without_input(error: ValidationError) -> str:
    """What is wrong with a payload, without its content, which may be personal."""
    return "; ".join(
        f"{field_path(problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )
