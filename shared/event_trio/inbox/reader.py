"""Reads the inbox: pages of processed messages, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .table import processed_message


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
    ) -> Sequence[Row[tuple[object, ...]]]:
        """Up to `limit` rows; `before` is the processing time and event id of the last one already seen."""
        table = processed_message.c
        query = select(processed_message).where(table.consumer == self._consumer)
        if event_id is not None:
            query = query.where(table.event_id == event_id)
        if subject is not None:
            query = query.where(table.subject == subject)
        if before is not None:
            query = query.where(tuple_(table.processed_at, table.event_id) < before)
        query = query.order_by(table.processed_at.desc(), table.event_id.desc()).limit(limit)
        async with self._sessions() as session:
            return (await session.execute(query)).all()
