"""A message that came from the queue, as the inbox meets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from . import deferred
from . import unfinished_attempts as marks
from .deferred import Aside, Status
from .guard import Identity, InboxOutcome, Standing, claim, look


@dataclass(frozen=True, slots=True)
class Arrival:
    """Its end is one transaction with a new inbox row. Nothing here commits."""

    identity: Identity
    body: bytes
    attributes: Mapping[str, str]
    suspect: bool = False
    """Whether there may be a mark that it was started."""

    async def look(self, session: AsyncSession) -> Standing:
        """How it stands right now; decides nothing."""
        return await look(session, self.identity)

    async def begin(self, session: AsyncSession, *, fresh: InboxOutcome, stale: InboxOutcome) -> Standing:
        """Write the inbox row, first in the transaction of what is done about it.

        With SETTLED or BEHIND nothing more may be done: it has been, or it is put behind those of its group.
        """
        standing = await claim(session, self.identity, fresh=fresh, stale=stale)
        if standing is Standing.BEHIND:
            await deferred.add(session, self.identity, deferred.BEHIND, self.body, self.attributes)
        await self._forget_mark(session)
        return standing

    async def put_aside(self, session: AsyncSession, aside: Aside) -> Standing:
        """Make it a dead letter, or let it wait. SETTLED means that it was processed in the meantime."""
        standing = await claim(
            session, self.identity, fresh=aside.outcome, stale=aside.outcome, queue=aside.status is not Status.DEAD
        )
        if standing is not Standing.SETTLED:
            await deferred.add(session, self.identity, aside, self.body, self.attributes)
        await self._forget_mark(session)
        return standing

    async def _forget_mark(self, session: AsyncSession) -> None:
        if self.suspect:
            await marks.clear(session, self.identity.consumer, self.identity.event_id)
