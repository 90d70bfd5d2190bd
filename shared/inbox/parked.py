"""A message that was put aside and is due: taken for a while, then brought to an end or put aside again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from .deferred import Aside, Status, in_seconds, promote
from .guard import Identity, InboxOutcome, Standing, is_stale, lock_group
from .table import deferred_message, processed_message


@dataclass(frozen=True, slots=True)
class Parked:
    """Its end is one transaction with a change of its inbox row, which is there already. Nothing here commits.

    Whoever took it has it until `taken_until`; what comes later finds the row gone or taken by another, and does
    nothing.
    """

    id: int
    identity: Identity
    body: bytes
    attributes: Mapping[str, str]
    attempts: int
    """Failed attempts so far."""
    starts: int
    """How often it was started since its last end, this time included."""
    taken_until: datetime

    async def look(self, session: AsyncSession) -> Standing:
        """How it stands right now; decides nothing."""
        asked = select(select(literal(1)).where(self._is_mine()).exists(), is_stale(self.identity))
        mine, stale = (await session.execute(asked)).one()
        if not mine:
            return Standing.SETTLED
        return Standing.STALE if stale else Standing.FRESH

    async def begin(self, session: AsyncSession, *, fresh: InboxOutcome, stale: InboxOutcome) -> Standing:
        """Change the inbox row and end the waiting, first in the transaction of what is done about it.

        With SETTLED nothing more may be done: somebody else has it, or ended it.
        """
        await lock_group(session, self.identity.consumer, self.identity.group)
        ended = await session.execute(delete(deferred_message).where(self._is_mine()).returning(deferred_message.c.id))
        if ended.first() is None:
            return Standing.SETTLED
        outcome = case((is_stale(self.identity), literal(str(stale))), else_=literal(str(fresh)))
        said = await self._say(session, outcome)
        await promote(session, self.identity.consumer, self.identity.group)
        return Standing.STALE if said == stale and stale != fresh else Standing.FRESH

    async def put_aside(self, session: AsyncSession, aside: Aside) -> Standing:
        """Let it wait again, or make it a dead letter. SETTLED means that it is no longer this taker's."""
        await lock_group(session, self.identity.consumer, self.identity.group)
        kept = await session.execute(
            update(deferred_message)
            .where(self._is_mine())
            .values(**aside.columns(), taken_until=None, starts=0)
            .returning(deferred_message.c.id)
        )
        if kept.first() is None:
            return Standing.SETTLED
        await self._say(session, literal(str(aside.outcome)))
        if not aside.blocks:
            await promote(session, self.identity.consumer, self.identity.group)
        return Standing.FRESH

    async def release(self, session: AsyncSession) -> None:
        """Give it back as it was: it did not run to any end, and that was nobody's attempt."""
        table = deferred_message.c
        await session.execute(
            update(deferred_message)
            .where(self._is_mine())
            .values(taken_until=None, starts=func.greatest(table.starts - 1, 0))
        )

    def _is_mine(self) -> ColumnElement[bool]:
        table = deferred_message.c
        return and_(table.id == self.id, table.status == Status.WAITING, table.taken_until == self.taken_until)

    async def _say(self, session: AsyncSession, outcome: object) -> str:
        table = processed_message.c
        changed = (
            update(processed_message)
            .where(table.consumer == self.identity.consumer, table.event_id == self.identity.event_id)
            .values(outcome=outcome, processed_at=func.clock_timestamp())
            .returning(table.outcome)
        )
        said: str = (await session.execute(changed)).scalar_one()
        return said


async def take_due(session: AsyncSession, consumer: str, *, limit: int, lease_seconds: float) -> list[Parked]:
    """Take up to `limit` messages that are due, of each group the oldest, for so long; to be committed at once."""
    row, before = deferred_message.alias("row"), deferred_message.alias("before")
    now = func.now()  # stable, so that the index serves it
    overtaken = (
        select(literal(1))
        .where(before.c.consumer == row.c.consumer, before.c.message_group == row.c.message_group)
        .where(before.c.id < row.c.id)
        .where(or_(before.c.blocks, and_(before.c.status == Status.WAITING, before.c.due_at <= now)))
        .exists()
    )
    due = (
        select(row.c.id)
        .where(row.c.consumer == consumer, row.c.status == Status.WAITING, row.c.due_at <= now)
        .where(or_(row.c.taken_until.is_(None), row.c.taken_until < now), ~overtaken)
        .order_by(row.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=row)
    )
    table = deferred_message.c
    taken = await session.execute(
        update(deferred_message)
        .where(table.id.in_(due.scalar_subquery()))
        .values(taken_until=in_seconds(lease_seconds), starts=table.starts + 1)
        .returning(*deferred_message.columns)
    )
    return [_parked(found) for found in taken]


def _parked(row: object) -> Parked:
    found = row._mapping  # type: ignore[attr-defined]
    identity = Identity(
        consumer=found["consumer"],
        event_id=found["event_id"],
        message_id=found["message_id"],
        group=found["message_group"],
        source=found["source"],
        subject=found["subject"],
        sequence=found["sequence"],
        type=found["type"],
    )
    return Parked(
        id=found["id"],
        identity=identity,
        body=found["envelope"],
        attributes=found["attributes"],
        attempts=found["attempts"],
        starts=found["starts"],
        taken_until=found["taken_until"],
    )
