"""The ends of an event that its handler does not take, each one transaction with the inbox row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ...error_text import operator_text
from ...inbox.arrival import Arrival
from ...inbox.deferred import Aside, Status
from ...inbox.guard import InboxOutcome, Standing
from ..errors import describe, is_database_failure
from ..event import Event
from ..outcome import DeadLettered, Deferred, FailurePublished, Ignored, Outcome, Settled, Unavailable
from ..policies import DeadLetter, Ignore, Last, Later, PublishFailure, Rest
from ..router import AnyRoute
from ..telemetry import Report
from .failure_classifier import FailureClassifier, Progress
from .handler_task import alone
from .work import Entry, Work

log = structlog.get_logger(__name__)


class Endings:
    """Commits an end and tells of it. A database that fails makes any of them Unavailable."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        report: Report,
        judge: FailureClassifier,
        *,
        after_commit: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._report = report
        self._judge = judge
        self._after_commit = after_commit

    async def bury(
        self, entry: Entry, reason: str, error: BaseException, *, attempts: int = 0, rest: Rest = Rest.PASS
    ) -> Outcome:
        """Make it a dead letter."""
        aside = Aside(Status.DEAD, reason, operator_text(error), attempts, blocks=rest is Rest.WAIT)
        try:
            standing = await self._put_aside(entry, aside)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            return await self._unavailable(entry, raised)
        outcome = Settled() if standing is Standing.SETTLED else DeadLettered(reason, aside.error)
        self._judge.forget(entry.identity)
        self._report.settled(entry.identity, outcome, error=error)
        return outcome

    async def defer(self, work: Work, later: Later, reason: str, error: BaseException) -> Outcome:
        """Put it aside to run again; behind others of its group, if those wait."""
        blocks = later.rest is Rest.WAIT
        aside = Aside(
            Status.WAITING, reason, operator_text(error), work.effort.failures, due_in=later.after, blocks=blocks
        )
        try:
            standing = await self._put_aside(work.entry, aside)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            return await self._unavailable(work.entry, raised)
        outcome = Settled() if standing is Standing.SETTLED else Deferred(later.after, describe(error))
        self._judge.forget(work.identity)
        self._report.settled(work.identity, outcome, error=error)
        return outcome

    async def finish(
        self, work: Work, last: Last, reason: str, error: BaseException, *, route: AnyRoute, event: Event[Any] | None
    ) -> Outcome:
        """Do the last thing of a policy. Without its payload an event cannot be described: it is a dead letter."""
        attempts = work.effort.failures
        if isinstance(last, DeadLetter):
            return await self.bury(work.entry, reason, error, attempts=attempts, rest=last.rest)
        if isinstance(last, PublishFailure) and (event is None or route.on_failure is None):
            return await self.bury(work.entry, reason, error, attempts=attempts)
        try:
            standing = await self._settle(work, last, describe(error), route, event)
        except Exception as raised:  # noqa: BLE001 - what is not the database's is raised again, or buried
            # Its own writes are part of it, so a mistake in them is its own.
            put_off = await self._judge.outage(work.identity, raised, Progress(in_database=True, in_handler=True))
            if put_off is not None:
                self._report.postponed(work.identity, put_off)
                return put_off
            log.warning("failure not published", action="consumer.unpublished", error=describe(raised))
            return await self.bury(work.entry, reason, error, attempts=attempts)
        self._after_commit()
        outcome: Outcome = _of(standing) or (
            Ignored(reason, describe(error)) if isinstance(last, Ignore) else FailurePublished(reason, describe(error))
        )
        self._judge.forget(work.identity)
        self._report.settled(work.identity, outcome, error=error)
        return outcome

    async def _settle(self, work: Work, last: Last, reason: str, route: AnyRoute, event: Event[Any] | None) -> Standing:
        said = InboxOutcome.IGNORED if isinstance(last, Ignore) else InboxOutcome.FAILURE_PUBLISHED
        async with self._sessions.begin() as session:
            standing = await work.entry.begin(session, fresh=said, stale=said)
            if standing is Standing.FRESH and isinstance(last, PublishFailure):
                assert route.on_failure is not None and event is not None  # noqa: PT018 - asked before
                on_failure, about = route.on_failure, event
                await alone(lambda: on_failure(session, about, reason))
        return standing

    async def _put_aside(self, entry: Entry, aside: Aside) -> Standing:
        try:
            async with self._sessions.begin() as session:
                return await entry.put_aside(session, aside)
        except Exception as raised:
            if is_database_failure(raised) or not isinstance(entry, Arrival):
                raise
            # It may be what identifies the event that the database refuses; without it the event is still kept.
            log.warning("dead letter kept without its particulars", action="consumer.bare", error=describe(raised))
            bare = replace(entry, identity=entry.identity.bare())
            async with self._sessions.begin() as session:
                return await bare.put_aside(session, aside)

    async def _unavailable(self, entry: Entry, error: Exception) -> Unavailable:
        """What is not the database's is a mistake in this code, and raised again."""
        outcome = await self._judge.outage(entry.identity, error, Progress(in_database=True))
        if outcome is None:
            raise error
        self._report.postponed(entry.identity, outcome)
        return outcome


def _of(standing: Standing) -> Outcome | None:
    if standing is Standing.SETTLED:
        return Settled()
    return Deferred(None, "its group waits") if standing is Standing.BEHIND else None
