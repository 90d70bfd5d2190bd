"""What the inbox holds, for whoever looks: pages of processed messages and of dead letters, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from .deferred import Status
from .table import deferred_message, processed_message


async def list_processed(
    session: AsyncSession,
    *,
    consumer: str,
    limit: int,
    event_id: str | None = None,
    subject: str | None = None,
    before: tuple[datetime, str] | None = None,
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `limit` inbox rows; `before` is the processing time and event id of the last one already seen."""
    table = processed_message.c
    query = select(processed_message).where(table.consumer == consumer)
    if event_id is not None:
        query = query.where(table.event_id == event_id)
    if subject is not None:
        query = query.where(table.subject == subject)
    if before is not None:
        query = query.where(tuple_(table.processed_at, table.event_id) < before)
    return (await session.execute(query.order_by(table.processed_at.desc(), table.event_id.desc()).limit(limit))).all()


async def list_dead_letters(
    session: AsyncSession, *, consumer: str, limit: int, before: int | None = None
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `limit` dead letters without their envelopes; `before` is the id of the last one already seen."""
    table = deferred_message.c
    columns = [column for column in deferred_message.columns if column.name not in {"envelope", "due_at"}]
    query = select(*columns).where(table.consumer == consumer, table.status == Status.DEAD)
    if before is not None:
        query = query.where(table.id < before)
    return (await session.execute(query.order_by(table.id.desc()).limit(limit))).all()


async def count_dead_letters(session: AsyncSession, *, consumer: str) -> int:
    """How many dead letters wait for somebody."""
    table = deferred_message.c
    query = select(func.count()).where(table.consumer == consumer, table.status == Status.DEAD)
    return (await session.execute(query)).scalar_one()
