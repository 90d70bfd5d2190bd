"""Discards deferred messages and dead letters."""

from __future__ import annotations

from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncSession

from .deferred import unblock
from .resolution import Condition, Task
from .selection import Rows
from .states import InboxOutcome
from .table import deferred_message, processed_message


def discarding(consumer: str, *only: Condition) -> Task:
    """Complete messages as discarded; the messages that they blocked continue."""

    async def discard(session: AsyncSession, rows: Rows, _: int) -> Rows:
        table, inbox = deferred_message.c, processed_message.c
        gone = await session.execute(
            delete(deferred_message)
            .where(table.id.in_([row.id for row in rows]), *only)
            .returning(table.id, table.event_id, table.message_group, table.type, table.attempts)
        )
        discarded = gone.all()
        if discarded:
            await session.execute(
                update(processed_message)
                .where(inbox.consumer == consumer, inbox.event_id.in_([row.event_id for row in discarded]))
                .values(outcome=InboxOutcome.DISCARDED, processed_at=func.clock_timestamp())
            )
            await unblock(session, consumer, {row.message_group for row in discarded})
        return discarded

    return Task("discard", discard, only)
