"""Reads the inbox: pages of processed messages, the newest first, single ones, and its state as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Interval, Row, Select, and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .selection import DEAD, PENDING, Selection
from .states import Status
from .table import deferred_message, operator_action, processed_message

COUNTED = 10_000
"""Counting stops at so many messages, so that it stays cheap."""
OVERDUE_SECONDS = 60.0
"""A deferred message that is due for longer is overdue. One that is due is looked for every second."""
ACTIONS_SHOWN = 50

# The columns of a deferred message or dead letter that accompany its inbox row.
DEFERRED = ("status", "due_at", "taken_until", "reason", "error", "attempts", "blocks", "deferred_at", "message_group")


@dataclass(frozen=True, slots=True)
class OverdueMessage:
    """The deferred message that is overdue for the longest time."""

    event_id: str
    message_group: str
    due_at: datetime
    behind: str | None
    """The event of its group that comes first, if that is another one."""


@dataclass(frozen=True, slots=True)
class InboxState:
    """The inbox of one consumer as a whole. Counts stop at `COUNTED`."""

    database_time: datetime
    waiting: int
    blocked: int
    dead: int
    oldest_dead_at: datetime | None
    overdue: int
    first_overdue: OverdueMessage | None


class ProcessedMessages:
    """The inbox rows of one consumer."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def page(
        self,
        *,
        limit: int,
        event_id: str | None = None,
        subject: str | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> Sequence[Row[Any]]:
        """Up to `limit` rows, each with its deferred message; `before` is the processing time and event id of the last
        one already seen.
        """
        table = processed_message.c
        query = self._rows()
        if event_id is not None:
            query = query.where(table.event_id == event_id)
        if subject is not None:
            query = query.where(table.subject == subject)
        if before is not None:
            query = query.where(tuple_(table.processed_at, table.event_id) < before)
        query = query.order_by(table.processed_at.desc(), table.event_id.desc()).limit(limit)
        async with self._sessions() as session:
            found: Sequence[Row[Any]] = (await session.execute(query)).all()
        return found

    async def find(self, event_id: str) -> tuple[Row[Any], Sequence[Row[Any]]] | None:
        """The row of an event with its deferred message, and the operators' actions on it, the newest first."""
        action = operator_action.c
        actions = (
            select(operator_action)
            .where(action.consumer == self._consumer, action.event_id == event_id)
            .order_by(action.id.desc())
            .limit(ACTIONS_SHOWN)
        )
        async with self._sessions() as session:
            found = (await session.execute(self._rows().where(processed_message.c.event_id == event_id))).first()
            return None if found is None else (found, (await session.execute(actions)).all())

    async def state(self) -> InboxState:
        """The counts by status, and what is overdue."""
        table = deferred_message.c
        dead, pending = Selection().of(self._consumer, DEAD), Selection().of(self._consumer, PENDING)
        waiting = table.status == literal(str(Status.WAITING), literal_execute=True)
        # Stable functions, so that an index serves them.
        long_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, OVERDUE_SECONDS, type_=Interval)
        overdue = [
            *(table.consumer == self._consumer, waiting, table.due_at < long_ago),
            or_(table.taken_until.is_(None), table.taken_until < func.now()),
        ]
        first = select(deferred_message).where(*overdue).order_by(table.due_at).limit(1)
        oldest_dead = select(table.deferred_at).where(*dead).order_by(table.id).limit(1)
        counts = select(
            func.clock_timestamp().label("now"),
            _counted(table.consumer == self._consumer, waiting).label("waiting"),
            _counted(*pending).label("pending"),
            _counted(*dead).label("dead"),
            _counted(*overdue).label("overdue"),
            oldest_dead.scalar_subquery().label("oldest_dead_at"),
        )
        async with self._sessions() as session:
            row = (await session.execute(counts)).one()
            late = (await session.execute(first)).first()
            head = None if late is None else (await session.execute(self._head(late))).scalar()
        return InboxState(
            database_time=row.now,
            waiting=row.waiting,
            blocked=max(0, row.pending - row.waiting),
            dead=row.dead,
            oldest_dead_at=row.oldest_dead_at,
            overdue=row.overdue,
            first_overdue=None
            if late is None
            else OverdueMessage(late.event_id, late.message_group, late.due_at, head),
        )

    def _rows(self) -> Select[Any]:
        """Inbox rows, with the columns of the deferred message as `deferred_<name>`; null where there is none."""
        table, deferred = processed_message.c, deferred_message.c
        same = and_(deferred.consumer == table.consumer, deferred.event_id == table.event_id)
        columns = [deferred[name].label(f"deferred_{name}") for name in DEFERRED]
        return (
            select(processed_message, *columns)
            .select_from(processed_message.outerjoin(deferred_message, same))
            .where(table.consumer == self._consumer)
        )

    def _head(self, message: Row[Any]) -> Select[Any]:
        """The earlier message of a group that blocks one."""
        table = deferred_message.c
        return (
            select(table.event_id)
            .where(table.consumer == self._consumer, table.message_group == message.message_group)
            .where(table.blocks, table.id < message.id)
            .order_by(table.id)
            .limit(1)
        )


def _counted(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    among = select(deferred_message.c.id).where(*conditions).limit(COUNTED).subquery()
    return select(func.count()).select_from(among).scalar_subquery()
