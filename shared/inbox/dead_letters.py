"""What an operator does about dead letters: looks, runs them again, or gives them up; each change leaves a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Float, cast, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..errors import EventTrioError
from ..idempotency.repetition import EVERY_TIME, Repetition
from ..idempotency.transactions import through
from .deferred import Status, in_seconds, promote
from .guard import InboxOutcome, lock_group
from .table import deferred_message, operator_action, processed_message

Rows: TypeAlias = Sequence[Any]

MOST = 1000
"""Dead letters that one call changes at the most: a transaction stays short."""


class DeadLetterNotFound(EventTrioError):
    """There is no such dead letter; it may have been resolved."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; None does not restrict."""

    event_id: str | None = None
    type: str | None = None
    group: str | None = None
    reason: str | None = None
    after: int | None = None
    """Only those whose id is above this one: what a row's change was asked for already is not asked for again."""

    def of(self, consumer: str) -> list[ColumnElement[bool]]:
        """As conditions on the rows."""
        table = deferred_message.c
        wanted = {table.event_id: self.event_id, table.type: self.type, table.message_group: self.group}
        wanted[table.reason] = self.reason
        given = [column == value for column, value in wanted.items() if value is not None]
        if self.after is not None:
            given.append(table.id > self.after)
        return [table.consumer == consumer, table.status == Status.DEAD, *given]


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why."""

    actor: str
    reason: str


class DeadLetters:
    """The dead letters of one consumer.

    A change that is made `once` keeps its answer in its own transaction; asked for again it raises Repeated, KeyReused
    or KeyInUse, and changes nothing.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def page(self, selection: Selection, *, before: int | None, limit: int) -> Rows:
        """Newest first, without their envelopes; `before` is the id of the last one already seen."""
        columns = [column for column in deferred_message.columns if column.name not in {"envelope", "due_at"}]
        query = select(*columns).where(*selection.of(self._consumer))
        if before is not None:
            query = query.where(deferred_message.c.id < before)
        async with self._sessions() as session:
            return (await session.execute(query.order_by(deferred_message.c.id.desc()).limit(limit))).all()

    async def show(self, event_id: str) -> tuple[Any, Rows]:
        """One dead letter with its envelope, and what operators did about it; raises DeadLetterNotFound."""
        query = select(deferred_message).where(*Selection(event_id=event_id).of(self._consumer))
        async with self._sessions() as session:
            found = (await session.execute(query)).first()
            if found is None:
                raise DeadLetterNotFound
            return found, await self._actions(session, event_id)

    async def redrive(
        self,
        selection: Selection,
        by: By,
        *,
        per_second: float | None,
        limit: int = MOST,
        once: Repetition[Rows] = EVERY_TIME,
    ) -> Rows:
        """Let up to `limit` of them run again, the oldest first, so many per second; returns them.

        They run in the order in which they were put aside, through the handlers of their types, with all attempts
        before them again.
        """
        table = deferred_message.c
        gap = 0.0 if per_second is None else 1.0 / per_second
        async with self._sessions.begin() as session:
            await once.claim(through(session))
            place = func.row_number().over(order_by=table.id).label("place")
            chosen = (
                select(table.id, place, table.attempts)
                .where(table.id.in_(self._oldest(selection, limit)))
                .cte("chosen")
            )
            turned = await session.execute(
                update(deferred_message)
                .where(table.id == chosen.c.id, table.status == Status.DEAD)
                .values(
                    status=Status.WAITING,
                    due_at=in_seconds(cast(chosen.c.place - 1, Float) * gap),
                    attempts=0,
                    starts=0,
                    taken_until=None,
                )
                .returning(table.id, table.event_id, table.message_group, table.type, chosen.c.attempts)
            )
            rows = sorted(turned.all(), key=lambda row: row.id)
            await self._trace(session, "redrive", by, rows)
            await once.keep(through(session), rows)
        return rows

    async def discard(
        self, selection: Selection, by: By, *, limit: int = MOST, once: Repetition[Rows] = EVERY_TIME
    ) -> Rows:
        """Give up to `limit` of them up for good; what waited behind one goes on. Returns them."""
        table = deferred_message.c
        async with self._sessions.begin() as session:
            await once.claim(through(session))
            chosen = select(table.id, table.message_group).where(table.id.in_(self._oldest(selection, limit)))
            found = (await session.execute(chosen)).all()
            groups = sorted({row.message_group for row in found})
            for group in groups:
                await lock_group(session, self._consumer, group)
            gone = await session.execute(
                delete(deferred_message)
                .where(table.id.in_([row.id for row in found]), table.status == Status.DEAD)
                .returning(table.id, table.event_id, table.message_group, table.type, table.attempts)
            )
            rows = sorted(gone.all(), key=lambda row: row.id)
            inbox = processed_message.c
            await session.execute(
                update(processed_message)
                .where(inbox.consumer == self._consumer, inbox.event_id.in_([row.event_id for row in rows]))
                .values(outcome=InboxOutcome.DISCARDED, processed_at=func.clock_timestamp())
            )
            for group in groups:
                await promote(session, self._consumer, group)
            await self._trace(session, "discard", by, rows)
            await once.keep(through(session), rows)
        return rows

    async def oldest(self, selection: Selection, *, limit: int) -> Rows:
        """What a change would take, the oldest first."""
        table = deferred_message.c
        query = select(table.id, table.event_id, table.message_group, table.type)
        async with self._sessions() as session:
            chosen = query.where(*selection.of(self._consumer)).order_by(table.id).limit(limit)
            return (await session.execute(chosen)).all()

    async def _actions(self, session: AsyncSession, event_id: str) -> Rows:
        table = operator_action.c
        mine = (table.consumer == self._consumer, table.event_id == event_id)
        return (await session.execute(select(operator_action).where(*mine).order_by(table.id))).all()

    async def _trace(self, session: AsyncSession, action: str, by: By, rows: Rows) -> None:
        if not rows:
            return
        await session.execute(
            insert(operator_action),
            [
                {
                    "consumer": self._consumer,
                    "event_id": row.event_id,
                    "message_group": row.message_group,
                    "type": row.type,
                    "action": action,
                    "reason": by.reason,
                    "actor": by.actor,
                    "attempts": row.attempts,
                }
                for row in rows
            ],
        )

    def _oldest(self, selection: Selection, limit: int) -> Any:
        table = deferred_message.c
        chosen = select(table.id).where(*selection.of(self._consumer)).order_by(table.id).limit(limit)
        return chosen.scalar_subquery()


async def measure(session: AsyncSession, consumer: str) -> dict[str, tuple[int, float]]:
    """How many messages are put aside, by status, and how many seconds the oldest of each has been."""
    table = deferred_message.c
    age = func.extract("epoch", func.clock_timestamp() - func.min(table.deferred_at))
    counted = select(table.status, func.count(), cast(age, Float)).where(table.consumer == consumer)
    found = {str(status): (0, 0.0) for status in Status}
    for status, count, seconds in await session.execute(counted.group_by(table.status)):
        found[status] = (count, max(0.0, seconds))
    return found
