"""A message that came from the queue, as the inbox meets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from . import deferred, unfinished_attempts
from .deferred import DeferredState, Status
from .guard import ClaimResult, Identity, InboxOutcome, claim, look


@dataclass(frozen=True, slots=True)
class Arrival:
    """Its end is one transaction with a new inbox row. Nothing here commits."""

    identity: Identity
    body: bytes
    attributes: Mapping[str, str]
    suspect: bool = False
    """Whether there may be a mark that it was started."""

    async def look(self, session: AsyncSession) -> ClaimResult:
        """How it stands right now; decides nothing."""
        return await look(session, self.identity)

    async def begin(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Write the inbox row, first in the transaction of what is done about it.

        With SETTLED or BLOCKED nothing more may be done: it has been, or it is put behind those of its group.
        """
        result = await claim(session, self.identity, new=new, stale=stale)
        if result is ClaimResult.BLOCKED:
            await deferred.add(session, self.identity, deferred.BLOCKED, self.body, self.attributes)
        await self._forget_mark(session)
        return result

    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Make it a dead letter, or let it wait. SETTLED means that it was processed in the meantime."""
        result = await claim(
            session, self.identity, new=state.outcome, stale=state.outcome, queue=state.status is not Status.DEAD
        )
        if result is not ClaimResult.DUPLICATE:
            await deferred.add(session, self.identity, state, self.body, self.attributes)
        await self._forget_mark(session)
        return result

    async def _forget_mark(self, session: AsyncSession) -> None:
        if self.suspect:
            await unfinished_attempts.clear(session, self.identity.consumer, self.identity.event_id)
