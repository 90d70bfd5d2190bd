"""Commits the outcome of an event: its inbox row, and what its handler writes, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ... import failpoints
from ...inbox.claim_at_once import Writes
from ...inbox.connections import InboxConnections
from ...inbox.delivery import Delivery
from ...inbox.states import ClaimResult, InboxOutcome
from ...inbox.transaction import InboxTransaction
from ..event import Event
from ..outcome import Completed, Deferred, Duplicate, Handled, Ignored, Skipped
from ..router import AnyRoute, Stale, WritesOf
from .attempt import Attempt
from .handler_task import HandlerCancelled, HandlerExited, run_handler

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker


class Recorder:
    """Claims events and commits what their handlers write. `after_commit` is called after each commit of a handler."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        connections: InboxConnections,
        *,
        after_commit: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._connections = connections
        self._after_commit = after_commit

    async def look(self, delivery: Delivery) -> ClaimResult:
        """What a claim would find; a blocked event is deferred."""
        if delivery.is_recorded:
            async with self._sessions() as session:
                result = await delivery.look(session)
        else:
            result = await self._connections.look(delivery)
        if result is not ClaimResult.BLOCKED:
            return result
        async with self._sessions() as session:
            result = await delivery.claim(session, new=InboxOutcome.HANDLED, stale=InboxOutcome.HANDLED)
            # The group may have been unblocked in between; then the event is handled.
            await (session.commit() if result is ClaimResult.BLOCKED else session.rollback())
        return result

    async def ignore(self, delivery: Delivery, outcome: Ignored) -> Completed:
        """Complete the event without its handler."""
        async with self._sessions.begin() as session:
            result = await delivery.claim(session, new=InboxOutcome.IGNORED, stale=InboxOutcome.IGNORED)
        return without_handler(result) or outcome

    async def record(self, attempt: Attempt, route: AnyRoute, event: Event[Any], acted: object) -> Completed:
        """Write the inbox row and what the handler writes, in one transaction."""
        if route.writes is not None and attempt.delivery.is_claimed_by_its_row:
            outcome = await self._at_once(attempt, route, route.writes, event, acted)
        else:
            outcome = await self._in_transaction(attempt, route, event, acted)
        if isinstance(outcome, Handled):
            failpoints.hit("consumer.after_commit")
            self._after_commit()
        return outcome

    async def _at_once(
        self, attempt: Attempt, route: AnyRoute, write: WritesOf[Any, Any], event: Event[Any], acted: object
    ) -> Completed:
        """In one round trip. Whether the event is stale is known afterwards; `event.stale` is what a look found."""
        delivery = attempt.delivery
        attempt.in_handler = True
        try:
            writes = _written(write, event, acted)
        except Exception:
            attempt.in_handler = False
            # It was called before the claim: its failure is none if the event is processed, or waits for another one.
            if (outcome := without_handler(await self.look(delivery))) is not None:
                return outcome
            attempt.in_handler = True
            raise
        attempt.in_handler = writes is not None
        failpoints.hit("consumer.before_commit")
        new, stale = outcomes(route)
        recorded = await self._connections.record(delivery, new=new, stale=stale, writes=writes)
        attempt.in_handler = False
        if recorded is None:
            found = await self.look(delivery)
            # If the group was unblocked in between, it is claimed step by step.
            return without_handler(found) or await self._in_transaction(attempt, route, event, acted)
        return Skipped() if recorded is InboxOutcome.SKIPPED_STALE else Handled(recorded is InboxOutcome.HANDLED_STALE)

    async def _in_transaction(self, attempt: Attempt, route: AnyRoute, event: Event[Any], acted: object) -> Completed:
        """Step by step: the handler runs inside the transaction."""
        new, stale = outcomes(route)
        async with self._connections.transaction() as transaction:
            result = await transaction.claim(attempt.delivery, new=new, stale=stale)
            if (outcome := without_handler(result)) is not None:
                await transaction.commit()
                return outcome
            is_stale = result is ClaimResult.STALE
            if is_stale and route.stale is Stale.SKIP:
                await transaction.commit()
                return Skipped()
            attempt.in_handler = True
            claimed = event if event.stale is is_stale else replace(event, stale=is_stale)
            await self._run(transaction, route, claimed, acted, stale if is_stale else new)
            attempt.in_handler = False
            failpoints.hit("consumer.before_commit")
            await transaction.commit()
        return Handled(stale=is_stale)

    @staticmethod
    async def _run(
        transaction: InboxTransaction, route: AnyRoute, event: Event[Any], acted: object, outcome: InboxOutcome
    ) -> None:
        if route.writes is not None:
            if (writes := _written(route.writes, event, acted)) is not None:
                await transaction.write(writes, outcome)
            return
        target, record = transaction.connection if route.takes_connection else transaction.session(), route.record
        await run_handler(lambda: record(target, event, acted))


def outcomes(route: AnyRoute) -> tuple[InboxOutcome, InboxOutcome]:
    """The outcome of an inbox row of a handled event, and of one that is stale."""
    skip = route.stale is Stale.SKIP
    return InboxOutcome.HANDLED, InboxOutcome.SKIPPED_STALE if skip else InboxOutcome.HANDLED_STALE


def without_handler(result: ClaimResult) -> Completed | None:
    """The outcome if the handler must not run."""
    if result is ClaimResult.DUPLICATE:
        return Duplicate()
    return Deferred(None, "its group waits") if result is ClaimResult.BLOCKED else None


def _written(write: WritesOf[Any, Any], event: Event[Any], acted: object) -> Writes | None:
    """What the handler writes. It waits for nothing, so it needs no task of its own."""
    task = asyncio.current_task()
    requests = task.cancelling() if task is not None else 0
    try:
        writes = write(event, acted)
    except asyncio.CancelledError:
        raise HandlerCancelled from None
    except Exception:
        raise
    except BaseException as error:
        raise HandlerExited(f"the handler raised {type(error).__name__}") from error
    if task is not None and task.cancelling() > requests:
        task.uncancel()
        raise HandlerCancelled
    return writes
