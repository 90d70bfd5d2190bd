"""Records that an operator saw the personal data of an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .audit import record_actions
from .selection import By

REVEAL: Final = "reveal"


@dataclass(frozen=True, slots=True)
class Revealed:
    """The event whose personal data is shown. It is no message of a consumer, and has no attempts."""

    event_id: str
    message_group: str
    type: str
    attempts: int = 0


class Revealing:
    """The audit of a service that publishes: who saw personal data of its events, and why."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer

    async def record(self, event: Revealed, by: By) -> None:
        """Record the action; raises what the database raises, in which case nothing may be shown."""
        async with self._sessions.begin() as session:
            await record_actions(session, self._consumer, REVEAL, [event], by)
