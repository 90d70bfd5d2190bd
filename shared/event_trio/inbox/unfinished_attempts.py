"""Unfinished attempts: rows that survive a process that ends while it handles a message."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .table import started_message


async def count(session: AsyncSession, consumer: str, event_id: str) -> int:
    """How many attempts have started and not ended."""
    mine = (started_message.c.consumer == consumer, started_message.c.event_id == event_id)
    return (await session.execute(select(started_message.c.starts).where(*mine))).scalar_one_or_none() or 0


async def add(session: AsyncSession, consumer: str, event_id: str) -> int:
    """Record an attempt; to be committed before it starts. Returns how many are unfinished, this one included."""
    statement = insert(started_message).values(consumer=consumer, event_id=event_id)
    counted = statement.on_conflict_do_update(
        index_elements=["consumer", "event_id"], set_={"starts": started_message.c.starts + 1}
    ).returning(started_message.c.starts)
    starts: int = (await session.execute(counted)).scalar_one()
    return starts


async def try_to_write(session: AsyncSession) -> None:
    """Insert a row of no message and roll it back, to see whether the database lets this role write."""
    await session.execute(insert(started_message).values(consumer="", event_id=str(uuid4())))
    await session.rollback()


async def remove(session: AsyncSession, consumer: str, event_id: str) -> None:
    """Remove one attempt: the process has not ended, whatever the outcome was."""
    mine = (started_message.c.consumer == consumer, started_message.c.event_id == event_id)
    await session.execute(update(started_message).where(*mine).values(starts=started_message.c.starts - 1))
    await session.execute(delete(started_message).where(*mine, started_message.c.starts <= 0))


async def clear(session: AsyncSession, consumer: str, event_id: str) -> None:
    """Remove every attempt, in the transaction of the outcome."""
    await session.execute(
        delete(started_message).where(started_message.c.consumer == consumer, started_message.c.event_id == event_id)
    )
