"""Records that an operator asks for personal data, and tells for how long that of an event may be seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..idempotency.guard import NO_GUARD, IdempotencyGuard
from ..idempotency.transactions import session_fetch
from .audit import record_actions
from .selection import By
from .table import operator_action

REVEAL: Final = "reveal"
REVEALED_SECONDS: Final = 300
"""A reason holds for so long; later another one is needed."""


@dataclass(frozen=True, slots=True)
class RevealedEvent:
    """The event or message whose personal data is asked for. An event that is no message has no attempts."""

    event_id: str
    message_group: str
    type: str | None
    attempts: int = 0


class Revealing:
    """The audit of a service: who asked for personal data of its events and messages, and why."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def record(self, event: RevealedEvent, by: By, *, once: IdempotencyGuard[Any] = NO_GUARD) -> None:
        """Record who asks and why; raises what the database raises."""
        async with self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            await record_actions(session, self._consumer, REVEAL, [event], by)
            await once.keep(session_fetch(session), None)

    async def may_see(self, event_id: str, actor: str) -> bool:
        """Whether this operator gave a reason recently."""
        table = operator_action.c
        recent = table.done_at > func.clock_timestamp() - timedelta(seconds=REVEALED_SECONDS)
        about = (table.consumer == self._consumer, table.event_id == event_id)
        given = select(table.id).where(*about, table.action == REVEAL, table.actor == actor, recent).limit(1)
        async with self._sessions() as session:
            return (await session.execute(given)).first() is not None
