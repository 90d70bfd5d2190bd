"""The operations on dead letters: list, redrive, discard. Each change is recorded in `operator_action`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Float, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..errors import EventTrioError
from ..idempotency.guard import NO_GUARD, IdempotencyGuard
from .discarding import discarding
from .redriving import make_due
from .resolution import Resolution, Task
from .selection import DEAD, MOST, By, Rows, Selection
from .states import Status
from .table import deferred_message

__all__ = ["MOST", "By", "DeadLetterNotFound", "DeadLetters", "Rows", "Selection", "measure"]


class DeadLetterNotFound(EventTrioError):
    """There is no such dead letter; it may have been resolved."""


class DeadLetters:
    """The dead letters of one consumer.

    A change that is made `once` stores its response with the change; a repetition raises AlreadyAnswered, KeyReused
    or KeyInUse, and changes nothing. A change of a single event raises MessageBusy while its group is being handled.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._letters = Resolution(sessions, consumer, DEAD)
        self._consumer = consumer

    async def page(self, selection: Selection, *, before: int | None = None, limit: int = MOST) -> Rows:
        """Newest first, without their envelopes; `before` is the id of the last one already seen."""
        return await self._letters.page(selection, before=before, limit=limit)

    async def show(self, event_id: str) -> tuple[Any, Rows]:
        """One dead letter with its envelope, and the operator actions on it; raises DeadLetterNotFound."""
        found = await self._letters.find(event_id)
        if found is None:
            raise DeadLetterNotFound
        return found

    async def oldest(self, selection: Selection, *, limit: int = MOST) -> Rows:
        """The dead letters that a change would affect, the oldest first."""
        return await self._letters.oldest(selection, limit=limit)

    async def redrive(
        self,
        selection: Selection,
        by: By,
        *,
        per_second: float | None = None,
        limit: int = MOST,
        once: IdempotencyGuard[Rows] = NO_GUARD,
    ) -> Rows:
        """Run up to `limit` of them again, the oldest first, at most `per_second`; returns them.

        They run in the order in which they were deferred, through the handlers of their types, with all attempts of
        their policies.
        """
        gap = 0.0 if per_second is None else 1.0 / per_second
        began: list[datetime] = []

        async def redrive(session: AsyncSession, rows: Rows, before: int) -> Rows:
            if not began:
                began.append((await session.execute(select(func.clock_timestamp()))).scalar_one())
            return await make_due(session, [row.id for row in rows], gap=gap, since=began[0], before=before)

        task = Task("redrive", redrive, locks=False)
        return await self._letters.change(task, selection, by, limit=limit, once=once)

    async def discard(
        self, selection: Selection, by: By, *, limit: int = MOST, once: IdempotencyGuard[Rows] = NO_GUARD
    ) -> Rows:
        """Discard up to `limit` of them; the messages that they blocked continue. Returns them."""
        task = discarding(self._consumer, deferred_message.c.status == Status.DEAD)
        return await self._letters.change(task, selection, by, limit=limit, once=once)


async def measure(session: AsyncSession, consumer: str) -> dict[str, tuple[int, float]]:
    """The number of deferred messages by status, and the age of the oldest in seconds."""
    table = deferred_message.c
    age = func.extract("epoch", func.clock_timestamp() - func.min(table.deferred_at))
    counted = select(table.status, func.count(), cast(age, Float)).where(table.consumer == consumer)
    found = {str(status): (0, 0.0) for status in Status}
    for status, count, seconds in await session.execute(counted.group_by(table.status)):
        found[status] = (count, max(0.0, seconds))
    return found
