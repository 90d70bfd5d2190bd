"""Makes dead letters due again, in the order in which they were deferred."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Float, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from .deferred import in_seconds
from .selection import Rows
from .states import Status
from .table import deferred_message


async def make_due(
    session: AsyncSession,
    ids: Sequence[int],
    *,
    gap: float,
    since: datetime,
    before: int = 0,
    redrive: int | None = None,
) -> Rows:
    """Make dead letters due, `gap` seconds after one another, and not before `since`; returns those that were dead.

    They run with all attempts of their policies. `before` is how many others are due before the first of them, and
    `redrive` the id of the redrive that they belong to.
    """
    table = deferred_message.c
    place = func.row_number().over(order_by=table.id).label("place")
    chosen = select(table.id, place, table.attempts).where(table.id.in_(ids)).cte("chosen")
    at = in_seconds(cast(chosen.c.place - 1 + before, Float) * gap, since=since)
    due = await session.execute(
        update(deferred_message)
        .where(table.id == chosen.c.id, table.status == Status.DEAD)
        .values(
            status=Status.WAITING,
            due_at=func.greatest(func.clock_timestamp(), at),
            attempts=0,
            starts=0,
            taken_until=None,
            redrive_id=redrive,
        )
        .returning(table.id, table.event_id, table.message_group, table.type, chosen.c.attempts)
    )
    return due.all()
