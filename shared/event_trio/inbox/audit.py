"""Records what operators did with messages."""

from __future__ import annotations

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .selection import By, Rows
from .table import operator_action


async def record_actions(session: AsyncSession, consumer: str, action: str, rows: Rows, by: By) -> None:
    """Record the action on each of the messages, in the transaction of their change."""
    await session.execute(
        insert(operator_action),
        [
            {
                "consumer": consumer,
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
