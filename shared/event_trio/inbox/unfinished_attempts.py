"""Marks of messages that may kill the process which handles them, kept where its death does not reach."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .table import started_message


async def left_behind(session: AsyncSession, consumer: str, event_id: str) -> int:
    """How many starts of the message have left no trace of an end."""
    mine = (started_message.c.consumer == consumer, started_message.c.event_id == event_id)
    return (await session.execute(select(started_message.c.starts).where(*mine))).scalar_one_or_none() or 0


async def mark_started(session: AsyncSession, consumer: str, event_id: str) -> int:
    """Note that the message is about to run; to be committed before it does.

    Returns how many starts have left no trace of an end, this one included.
    """
    statement = insert(started_message).values(consumer=consumer, event_id=event_id)
    counted = statement.on_conflict_do_update(
        index_elements=["consumer", "event_id"], set_={"starts": started_message.c.starts + 1}
    ).returning(started_message.c.starts)
    starts: int = (await session.execute(counted)).scalar_one()
    return starts


async def try_to_write(session: AsyncSession) -> None:
    """Write a mark of no message and take it back, to see that the database lets this role write."""
    await session.execute(insert(started_message).values(consumer="", event_id=str(uuid4())))
    await session.rollback()


async def unmark(session: AsyncSession, consumer: str, event_id: str) -> None:
    """Take back one start: the process lives, whatever became of the message."""
    await session.execute(
        update(started_message)
        .where(started_message.c.consumer == consumer, started_message.c.event_id == event_id)
        .values(starts=started_message.c.starts - 1)
    )
    await session.execute(
        delete(started_message).where(
            started_message.c.consumer == consumer,
            started_message.c.event_id == event_id,
            started_message.c.starts <= 0,
        )
    )


async def clear(session: AsyncSession, consumer: str, event_id: str) -> None:
    """Forget every start, in the transaction that settles the message."""
    await session.execute(
        delete(started_message).where(started_message.c.consumer == consumer, started_message.c.event_id == event_id)
    )
