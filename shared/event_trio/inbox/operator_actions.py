"""Reads the audit of operator actions, and the present state of the messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .table import deferred_message, operator_action, processed_message

Rows: TypeAlias = Sequence[Any]


@dataclass(frozen=True, slots=True)
class About:
    """Filters actions; None does not restrict."""

    event_id: str | None = None
    group: str | None = None
    actor: str | None = None


class OperatorActions:
    """The operator actions at one consumer."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def page(self, about: About, *, before: int | None, limit: int) -> Rows:
        """Newest first; `before` is the id of the last one already seen."""
        table = operator_action.c
        wanted = {table.event_id: about.event_id, table.message_group: about.group, table.actor: about.actor}
        given = [column == value for column, value in wanted.items() if value is not None]
        if before is not None:
            given.append(table.id < before)
        query = select(operator_action).where(table.consumer == self._consumer, *given)
        async with self._sessions() as session:
            return (await session.execute(query.order_by(table.id.desc()).limit(limit))).all()

    async def states(self, event_ids: Sequence[str]) -> Rows:
        """The present state of each known event: `outcome` of its inbox row, and `status`, `attempts` and `error` while
        it is deferred."""
        inbox, deferred = processed_message.c, deferred_message.c
        same = and_(deferred.consumer == inbox.consumer, deferred.event_id == inbox.event_id)
        query = (
            select(inbox.event_id, inbox.outcome, deferred.status, deferred.attempts, deferred.error)
            .select_from(processed_message.outerjoin(deferred_message, same))
            .where(inbox.consumer == self._consumer, inbox.event_id.in_(event_ids))
        )
        async with self._sessions() as session:
            return (await session.execute(query)).all()
