"""Groups dead letters and deferred messages that failed alike: with the same type, reason and kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .selection import DEAD, Selection
from .states import Status
from .table import deferred_message

LOOKED_AT = 20_000
"""The newest messages that are grouped, so that a page costs the same whatever the number of messages."""


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """Groups, the one with the newest message first."""

    failures: Sequence[Any]
    looked_at: int
    """How many messages were grouped; there may be more if it is `LOOKED_AT`."""


class MessageFailures:
    """The failures of one consumer."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def page(
        self, statuses: Sequence[Status] = DEAD, *, fingerprint: str | None = None, before: int | None, limit: int
    ) -> FailureGroups:
        """Up to `limit` groups among the newest messages with these statuses, each with its newest message.

        `before` is the id of the newest message of the last group already seen.
        """
        table = deferred_message.c
        newest = (
            select(table.id, table.fingerprint, table.message_group, table.deferred_at)
            .where(*Selection(fingerprint=fingerprint).of(self._consumer, statuses))
            .order_by(table.id.desc())
            .limit(LOOKED_AT)
            .cte("newest")
        )
        of_all = newest.c
        grouped = select(
            of_all.fingerprint,
            func.count().label("messages"),
            func.count(of_all.message_group.distinct()).label("message_groups"),
            func.min(of_all.deferred_at).label("first_at"),
            func.max(of_all.deferred_at).label("last_at"),
            func.max(of_all.id).label("last_id"),
        ).group_by(of_all.fingerprint)
        if before is not None:
            grouped = grouped.having(func.max(of_all.id) < before)
        groups = grouped.order_by(func.max(of_all.id).desc()).limit(limit).subquery()
        looked_at = select(func.count()).select_from(newest).scalar_subquery()
        query = (
            select(groups, table.type, table.reason, table.error, table.event_id, looked_at.label("looked_at"))
            .select_from(groups.join(deferred_message, table.id == groups.c.last_id))
            .order_by(groups.c.last_id.desc())
        )
        async with self._sessions() as session:
            found = (await session.execute(query)).all()
        return FailureGroups(found, found[0].looked_at if found else 0)
