"""Lists and changes deferred messages for operators: in small steps, each with its audit rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..errors import EventTrioError
from ..idempotency.guard import IdempotencyGuard
from ..idempotency.transactions import session_fetch
from .audit import record_actions
from .claim import try_lock_groups
from .selection import By, Rows, Selection
from .states import Status
from .table import deferred_message, operator_action

STEP = 50
"""The most messages that one transaction changes, and so the most groups whose live events may wait for it."""
BUSY_SECONDS = 5.0
"""How long a call waits for groups that are being handled; it holds no locks meanwhile."""
BUSY_PAUSE = 0.05

Condition: TypeAlias = ColumnElement[bool]


class MessageBusy(EventTrioError):
    """The message, or another one of its group, is being handled right now; try again in a moment."""


@dataclass(frozen=True, slots=True)
class Task:
    """A change of messages."""

    action: str
    """Its name in the audit."""
    make: Callable[[AsyncSession, Rows, int], Awaitable[Rows]]
    """Change rows; the number is how many others were changed before. Returns the changed rows."""
    only: tuple[Condition, ...] = ()
    """The rows that it applies to."""
    locks: bool = True
    """Whether it needs the locks of their groups."""


class Resolution:
    """The messages of one consumer with given statuses."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str, statuses: Sequence[Status]) -> None:
        self._sessions = sessions
        self._consumer = consumer
        self._statuses = statuses

    async def page(self, selection: Selection, *, before: int | None, limit: int) -> Rows:
        """Newest first, without their envelopes; `before` is the id of the last one already seen."""
        columns = [column for column in deferred_message.columns if column.name != "envelope"]
        query = select(*columns).where(*selection.of(self._consumer, self._statuses))
        if before is not None:
            query = query.where(deferred_message.c.id < before)
        async with self._sessions() as session:
            return (await session.execute(query.order_by(deferred_message.c.id.desc()).limit(limit))).all()

    async def find(self, event_id: str) -> tuple[Any, Rows] | None:
        """One of them with its envelope, and the operator actions on it."""
        query = select(deferred_message).where(*Selection(event_id=event_id).of(self._consumer, self._statuses))
        table = operator_action.c
        mine = (table.consumer == self._consumer, table.event_id == event_id)
        async with self._sessions() as session:
            found = (await session.execute(query)).first()
            if found is None:
                return None
            return found, (await session.execute(select(operator_action).where(*mine).order_by(table.id))).all()

    async def oldest(self, selection: Selection, *, limit: int, only: Sequence[Condition] = ()) -> Rows:
        """The messages that a change would affect, the oldest first."""
        async with self._sessions() as session:
            return await self._choose(session, selection, limit, only)

    async def change(
        self, task: Task, selection: Selection, by: By, *, limit: int, once: IdempotencyGuard[Rows]
    ) -> Rows:
        """Change up to `limit` of them, the oldest first; returns the changed rows.

        Each step is a transaction, which locks only groups that are free. The others come last;
        those that stay busy are left, and raise MessageBusy if it was one event that was asked for. With each step
        goes the answer under the request's key: wherever the process ends, a repetition is answered with the progress.
        """
        # Before the key is held: to forget an expired answer is a change, for which the steps would wait.
        async with self._sessions.begin() as session:
            await once.claim(session_fetch(session))
        async with self._sessions.begin() as holding:
            await once.claim(session_fetch(holding))
            return await _Steps(self._sessions, self._consumer, task, by, once).take(
                lambda session, after, size: self._choose(session, replace(selection, after=after), size, task.only),
                selection,
                limit,
            )

    async def _choose(self, session: AsyncSession, selection: Selection, limit: int, only: Sequence[Condition]) -> Rows:
        table = deferred_message.c
        query = select(table.id, table.event_id, table.message_group, table.type, table.attempts)
        meant = selection.of(self._consumer, self._statuses)
        return (await session.execute(query.where(*meant, *only).order_by(table.id).limit(limit))).all()


Choose: TypeAlias = Callable[[AsyncSession, int | None, int], Awaitable[Rows]]


class _Steps:
    """One change, step by step."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        consumer: str,
        task: Task,
        by: By,
        once: IdempotencyGuard[Rows],
    ) -> None:
        self._sessions = sessions
        self._consumer = consumer
        self._task = task
        self._by = by
        self._once = once
        self._done: list[Any] = []
        self._busy: list[Any] = []

    async def take(self, choose: Choose, selection: Selection, limit: int) -> Rows:
        """All of them; raises MessageBusy."""
        after = selection.after
        while (room := min(STEP, limit - len(self._done) - len(self._busy))) > 0:
            async with self._sessions.begin() as session:
                chosen = await choose(session, after, room)
                done = await self._step(session, chosen)
            self._done = done
            if len(chosen) < room:
                break
            after = chosen[-1].id
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BUSY_SECONDS
        while self._busy and loop.time() < deadline:
            await asyncio.sleep(BUSY_PAUSE)
            again, self._busy = self._busy[:STEP], self._busy[STEP:]
            async with self._sessions.begin() as session:
                done = await self._step(session, again)
            self._done = done
        if self._busy and selection.event_id is not None:
            raise MessageBusy
        return self._done

    async def _step(self, session: AsyncSession, chosen: Rows) -> list[Any]:
        """Do it with those whose groups are free; returns all with which it will be done when this is committed."""
        groups = {row.message_group for row in chosen}
        free = await try_lock_groups(session, self._consumer, groups) if self._task.locks and groups else groups
        self._busy += [row for row in chosen if row.message_group not in free]
        rows = [row for row in chosen if row.message_group in free]
        changed = await self._task.make(session, rows, len(self._done)) if rows else []
        if not changed:
            return self._done
        done = sorted([*self._done, *changed], key=lambda row: row.id)
        await self._trace(session, changed)
        await (self._once.amend if self._done else self._once.keep)(session_fetch(session), done)
        return done

    async def _trace(self, session: AsyncSession, rows: Rows) -> None:
        await record_actions(session, self._consumer, self._task.action, rows, self._by)
