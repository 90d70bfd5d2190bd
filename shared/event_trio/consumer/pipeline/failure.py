"""The ends of an event that its handler does not take, each one transaction with the inbox row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...error_text import operator_text
from ...inbox.arrival import Arrival
from ...inbox.deferred import DeferredState, Status
from ...inbox.guard import ClaimResult, InboxOutcome
from ..errors import describe, is_database_failure
from ..event import Event
from ..outcome import DeadLettered, Deferred, Duplicate, FailurePublished, Ignored, Outcome, Unavailable
from ..policies import DeadLetter, DeferFor, FinalPolicy, Ignore, PublishFailure, Rest
from ..router import AnyRoute
from ..telemetry import Telemetry
from .failure_classifier import FailureClassifier, Progress
from .handler_task import alone
from .work import Entry, Work

log = structlog.get_logger(__name__)


class TerminalOutcomes:
    """Commits an end and tells of it. A database that fails makes any of them Unavailable."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        telemetry: Telemetry,
        classifier: FailureClassifier,
        *,
        after_commit: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._telemetry = telemetry
        self._classifier = classifier
        self._after_commit = after_commit

    async def dead_letter(
        self, entry: Entry, reason: str, error: BaseException, *, attempts: int = 0, rest: Rest = Rest.PASS
    ) -> Outcome:
        """Make it a dead letter."""
        state = DeferredState(Status.DEAD, reason, operator_text(error), attempts, blocks=rest is Rest.WAIT)
        try:
            result = await self._defer(entry, state)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            return await self._unavailable(entry, raised)
        outcome = Duplicate() if result is ClaimResult.DUPLICATE else DeadLettered(reason, state.error)
        self._classifier.forget(entry.identity)
        self._telemetry.settled(entry.identity, outcome, error=error)
        return outcome

    async def defer(self, work: Work, later: DeferFor, reason: str, error: BaseException) -> Outcome:
        """Put it aside to run again; behind others of its group, if those wait."""
        blocks = later.rest is Rest.WAIT
        state = DeferredState(
            Status.WAITING, reason, operator_text(error), work.effort.failures, due_in=later.after, blocks=blocks
        )
        try:
            result = await self._defer(work.entry, state)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            return await self._unavailable(work.entry, raised)
        outcome = Duplicate() if result is ClaimResult.DUPLICATE else Deferred(later.after, describe(error))
        self._classifier.forget(work.identity)
        self._telemetry.settled(work.identity, outcome, error=error)
        return outcome

    async def finish(
        self,
        work: Work,
        last: FinalPolicy,
        reason: str,
        error: BaseException,
        *,
        route: AnyRoute,
        event: Event[Any] | None,
    ) -> Outcome:
        """Do the last thing of a policy. Without its payload an event cannot be described: it is a dead letter."""
        attempts = work.effort.failures
        if isinstance(last, DeadLetter):
            return await self.dead_letter(work.entry, reason, error, attempts=attempts, rest=last.rest)
        if isinstance(last, PublishFailure) and (event is None or route.on_failure is None):
            return await self.dead_letter(work.entry, reason, error, attempts=attempts)
        try:
            result = await self._settle(work, last, describe(error), route, event)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            # Its own writes are part of it, so a mistake in them is its own.
            put_off = await self._classifier.outage(work.identity, raised, Progress(in_database=True, in_handler=True))
            if put_off is not None:
                self._telemetry.postponed(work.identity, put_off)
                return put_off
            log.warning("failure not published", action="consumer.failure_not_published", error=describe(raised))
            return await self.dead_letter(work.entry, reason, error, attempts=attempts)
        self._after_commit()
        outcome: Outcome = _of(result) or (
            Ignored(reason, describe(error)) if isinstance(last, Ignore) else FailurePublished(reason, describe(error))
        )
        self._classifier.forget(work.identity)
        self._telemetry.settled(work.identity, outcome, error=error)
        return outcome

    async def _settle(
        self, work: Work, last: FinalPolicy, reason: str, route: AnyRoute, event: Event[Any] | None
    ) -> ClaimResult:
        said = InboxOutcome.IGNORED if isinstance(last, Ignore) else InboxOutcome.FAILURE_PUBLISHED
        async with self._sessions.begin() as session:
            result = await work.entry.begin(session, new=said, stale=said)
            if result is ClaimResult.NEW and isinstance(last, PublishFailure):
                assert route.on_failure is not None and event is not None  # noqa: PT018 - asked before
                on_failure, about = route.on_failure, event
                await alone(lambda: on_failure(session, about, reason))
        return result

    async def _defer(self, entry: Entry, state: DeferredState) -> ClaimResult:
        try:
            async with self._sessions.begin() as session:
                return await entry.defer(session, state)
        except Exception as raised:
            if is_database_failure(raised) or not isinstance(entry, Arrival):
                raise
            # It may be what identifies the event that the database refuses; without it the event is still kept.
            log.warning(
                "dead letter kept without its particulars",
                action="consumer.stored_without_metadata",
                error=describe(raised),
            )
            bare = replace(entry, identity=entry.identity.bare())
            async with self._sessions.begin() as session:
                return await bare.defer(session, state)

    async def _unavailable(self, entry: Entry, error: Exception) -> Unavailable:
        """What is not the database's is a mistake in this code, and raised again."""
        outcome = await self._classifier.outage(entry.identity, error, Progress(in_database=True))
        if outcome is None:
            raise error
        self._telemetry.postponed(entry.identity, outcome)
        return outcome


def _of(result: ClaimResult) -> Outcome | None:
    if result is ClaimResult.DUPLICATE:
        return Duplicate()
    return Deferred(None, "its group waits") if result is ClaimResult.BLOCKED else None
