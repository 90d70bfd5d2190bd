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
from ...inbox.guard import InboxOutcome, Standing
from ..database_breaker import DatabaseBreaker
from ..errors import HandlerTimeout, InvalidPayload, Outage, Reject, RetryLater, describe
from ..event import Event
from ..outcome import Deferred, Done, Handled, Ignored, Outcome, Retry, Settled, Skipped
from ..payloads import Erased, PayloadReader
from ..policies import Again, Later, last_of, next_step, rest_of, wait_for
from ..router import AnyRoute, NoRoute, Router, Stale
from ..telemetry import Report
from .failure import Endings
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


class Handling:
    """Runs handlers. Outside the database `act` runs first, in no transaction; then one transaction holds the inbox
    row, the handler's writes and the events that they cause. `after_commit` is told of every such commit.
    """

    def __init__(
        self,
        router: Router,
        sessions: async_sessionmaker[AsyncSession],
        gate: DatabaseBreaker,
        report: Report,
        clock: Clock,
        *,
        after_commit: Callable[[], None] = lambda: None,
        payloads: PayloadReader | None = None,
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._judge = FailureClassifier(gate)
        self._report = report
        self._clock = clock
        self._after_commit = after_commit
        self._payloads = payloads
        self.endings = Endings(sessions, report, self._judge, after_commit=after_commit)

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
            return await self.endings.bury(work.entry, route.reason, Reject(route.error))
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
                return await self.endings.bury(work.entry, "invalid_payload", error)
            progress.late = limit.expired()
            progress.used_up = progress.late and progress.acted_for > route.timeout / 2
            if (unavailable := await self._judge.outage(work.identity, error, progress)) is not None:
                self._report.postponed(work.identity, unavailable)
                return unavailable
            self._judge.forget(work.identity)
            spent = self._clock.monotonic() - started
            if limit.expired():
                late = HandlerTimeout(f"the handler took longer than {route.timeout} s")
                return await self._failed(work, route, late, spent, "timeout", progress.event)
            return await self._failed(work, route, error, spent, "failed", progress.event)
        self._judge.forget(work.identity)
        self._report.finished(work.identity, work.envelope, outcome, self._clock.monotonic() - started)
        return outcome

    async def _run(self, work: Work, route: AnyRoute, progress: _Progress) -> Done:
        standing = Standing.FRESH
        if route.act is not None or work.envelope.data is None:
            progress.in_database = True
            standing = await self._look(work)
            progress.in_database = False
            if standing is Standing.SETTLED:
                return Settled()
            if standing is Standing.BEHIND:
                return Deferred(None, "its group waits")
        payload = await self._payload(work, route)
        if payload is None:
            return await self._erased(work, progress)
        stale = standing is Standing.STALE
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

    async def _look(self, work: Work) -> Standing:
        """How it stands; if its group waits, it is put behind it."""
        async with self._sessions() as session:
            standing = await work.entry.look(session)
        if standing is not Standing.BEHIND:
            return standing
        async with self._sessions() as session:
            handled = InboxOutcome.HANDLED
            standing = await work.entry.begin(session, fresh=handled, stale=handled)
            # Anything else but BEHIND says that the group has stopped waiting meanwhile: then it runs.
            await (session.commit() if standing is Standing.BEHIND else session.rollback())
        return standing

    async def _record(self, work: Work, route: AnyRoute, event: AnyEvent, acted: object, progress: _Progress) -> Done:
        async with self._sessions.begin() as session:
            skip = route.stale is Stale.SKIP
            said = InboxOutcome.SKIPPED_STALE if skip else InboxOutcome.HANDLED_STALE
            standing = await work.entry.begin(session, fresh=InboxOutcome.HANDLED, stale=said)
            if standing is Standing.SETTLED:
                return Settled()
            if standing is Standing.BEHIND:
                return Deferred(None, "its group waits")
            if standing is Standing.STALE and skip:
                return Skipped()
            progress.in_handler = True
            transaction = session.get_transaction()
            told = replace(event, stale=standing is Standing.STALE)
            await alone(lambda: route.record(session, told, acted))
            if session.get_transaction() is not transaction or transaction is None or not transaction.is_active:
                raise TransactionEnded
            progress.in_handler = False
            failpoints.hit("consumer.before_commit")
        failpoints.hit("consumer.after_commit")
        self._after_commit()
        return Handled(stale=standing is Standing.STALE)

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
            standing = await work.entry.begin(session, fresh=ignored, stale=ignored)
        if standing is Standing.BEHIND:
            return Deferred(None, "its group waits")
        return Settled() if standing is Standing.SETTLED else Ignored("erased", "its publisher has erased the payload")

    async def _failed(
        self, work: Work, route: AnyRoute, error: BaseException, spent: float, reason: str, event: AnyEvent | None
    ) -> Outcome:
        effort = work.effort
        if isinstance(error, Reject | EventRejected):
            last = last_of(route.policy)
            return await self.endings.finish(work, last, "rejected", error, route=route, event=event)
        if isinstance(error, Outage):
            step: object = wait_for(error.seconds, spent=effort.spent, rest=rest_of(route.policy))
            reason = "outage"
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
        if isinstance(step, Again) and effort.spent is not None:
            effort.spent += step.after
            outcome = Retry(step.after, describe(error))
            self._report.postponed(work.identity, outcome, attempt=effort.failures, error=error)
            return outcome
        if isinstance(step, Later):
            return await self.endings.defer(work, step, reason, error)
        return await self.endings.finish(work, last_of(route.policy), reason, error, route=route, event=event)


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
