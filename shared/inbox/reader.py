"""What the inbox holds, for whoever looks: pages of processed messages, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from .table import processed_message


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
