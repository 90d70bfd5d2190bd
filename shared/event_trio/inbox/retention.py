"""Prunes old inbox rows in bounded steps, except those of deferred messages and dead letters."""

from __future__ import annotations

from sqlalchemy import delete, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from .table import deferred_message, processed_message


async def prune(session: AsyncSession, consumer: str, *, hours: float, limit: int) -> int:
    """Delete up to `limit` rows that were processed more than `hours` ago; returns how many.

    Several may prune at once: they share the work.
    """
    row, kept = processed_message.c, deferred_message.c
    horizon = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, hours * 3600)
    unresolved = select(literal(1)).where(kept.consumer == row.consumer, kept.event_id == row.event_id).exists()
    old = (
        select(row.consumer, row.event_id)
        .where(row.consumer == consumer, row.processed_at < horizon)
        .where(~unresolved)
        .order_by(row.processed_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=processed_message)
    )
    gone = await session.execute(
        delete(processed_message).where(tuple_(row.consumer, row.event_id).in_(old)).returning(row.event_id)
    )
    return len(gone.all())
