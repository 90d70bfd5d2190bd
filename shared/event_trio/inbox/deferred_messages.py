"""The operations on deferred messages: list, run now, discard. Each change is recorded in `operator_action`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..errors import EventTrioError
from ..idempotency.guard import NO_GUARD, IdempotencyGuard
from .discarding import discarding
from .resolution import Condition, MessageBusy, Resolution, Task
from .selection import MOST, PENDING, By, Rows, Selection
from .states import Status
from .table import deferred_message


class DeferredMessageNotFound(EventTrioError):
    """There is no such deferred message; it may have been handled, or be a dead letter."""


class MessageBlocked(EventTrioError):
    """The message waits for an earlier one of its group."""

    def __init__(self, event_id: str, status: str) -> None:
        todo = "redrive or discard that dead letter" if status == Status.DEAD else "run that one now, or discard it"
        super().__init__(f"it waits for event {event_id} of its group, which is {status}: {todo}")
        self.event_id = event_id
        self.status = status


class DeferredMessages:
    """The deferred messages of one consumer: waiting until they are due, or blocked by others of their group.

    A message that is being handled is not changed. A change that is made `once` stores its response with the change; a
    repetition raises AlreadyAnswered, KeyReused or KeyInUse, and changes nothing.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._messages = Resolution(sessions, consumer, PENDING)
        self._consumer = consumer
        table = deferred_message.c
        idle = or_(table.taken_until.is_(None), table.taken_until < func.clock_timestamp())
        pending = table.status != Status.DEAD
        self._heads = (pending, idle, ~_first(consumer).exists())
        self._discard = discarding(consumer, pending, idle)

    async def page(self, selection: Selection, *, before: int | None = None, limit: int = MOST) -> Rows:
        """Newest first, without their envelopes; `before` is the id of the last one already seen."""
        return await self._messages.page(selection, before=before, limit=limit)

    async def show(self, event_id: str) -> tuple[Any, Rows]:
        """One message with its envelope, and the operator actions on it; raises DeferredMessageNotFound."""
        found = await self._messages.find(event_id)
        if found is None:
            raise DeferredMessageNotFound
        return found

    async def would_run(self, selection: Selection, *, limit: int = MOST) -> Rows:
        """The messages that `run` would change, the oldest first; raises what it would raise."""
        found = await self._messages.oldest(selection, limit=limit, only=self._run(selection).only)
        await self._explain(selection, found, heads=True)
        return found

    async def would_discard(self, selection: Selection, *, limit: int = MOST) -> Rows:
        """The messages that `discard` would change, the oldest first; raises what it would raise."""
        found = await self._messages.oldest(selection, limit=limit, only=self._discard.only)
        await self._explain(selection, found)
        return found

    async def run(
        self, selection: Selection, by: By, *, limit: int = MOST, once: IdempotencyGuard[Rows] = NO_GUARD
    ) -> Rows:
        """Make up to `limit` of them due, the oldest first; returns them.

        Only the first message of a group can be run; the others follow in order. For a single event that is not the
        first of its group it raises MessageBlocked, and MessageBusy for one that is being handled.
        """
        changed = await self._messages.change(self._run(selection), selection, by, limit=limit, once=once)
        await self._explain(selection, changed, heads=True)
        return changed

    async def discard(
        self, selection: Selection, by: By, *, limit: int = MOST, once: IdempotencyGuard[Rows] = NO_GUARD
    ) -> Rows:
        """Discard up to `limit` of them; the messages that they blocked continue. Returns them.

        For a single event it raises MessageBusy while that is being handled.
        """
        changed = await self._messages.change(self._discard, selection, by, limit=limit, once=once)
        await self._explain(selection, changed)
        return changed

    def _run(self, selection: Selection) -> Task:
        table = deferred_message.c
        only: tuple[Condition, ...] = self._heads
        if selection.event_id is None:
            # A message that is due already is not changed: this change may have made it due.
            only = (*only, or_(table.due_at.is_(None), table.due_at > func.clock_timestamp()))

        async def make_due(session: AsyncSession, rows: Rows, _: int) -> Rows:
            due = await session.execute(
                update(deferred_message)
                .where(table.id.in_([row.id for row in rows]), *only)
                .values(status=Status.WAITING, due_at=func.clock_timestamp())
                .returning(table.id, table.event_id, table.message_group, table.type, table.attempts)
            )
            return due.all()

        return Task("run_now", make_due, only)

    async def _explain(self, selection: Selection, found: Rows, *, heads: bool = False) -> None:
        """Raise the reason why a single message cannot be changed, if it exists."""
        if found or selection.event_id is None:
            return
        table = deferred_message.c
        async with self._sessions() as session:
            meant = selection.of(self._consumer, PENDING)
            row = (await session.execute(select(table.id, table.message_group).where(*meant))).first()
            if row is None:
                return
            first = (await session.execute(_first(self._consumer, row.id, row.message_group))).first()
        if heads and first is not None:
            raise MessageBlocked(first.event_id, first.status)
        raise MessageBusy


def _first(consumer: str, id: int | None = None, group: str | None = None) -> Any:
    """The oldest message that blocks one: a given one, or that of the enclosing statement."""
    table, before = deferred_message.c, deferred_message.alias("before")
    return (
        select(before.c.event_id, before.c.status)
        .where(before.c.consumer == consumer, before.c.blocks)
        .where(before.c.message_group == (table.message_group if group is None else literal(group)))
        .where(before.c.id < (table.id if id is None else literal(id)))
        .order_by(before.c.id)
        .limit(1)
    )
