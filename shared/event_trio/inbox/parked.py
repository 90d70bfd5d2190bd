"""A message that was put aside and is due: taken for a while, then brought to an end or put aside again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    Text,
    all_,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from .deferred import WAITING, DeferredState, Status, in_seconds, of_group, promote
from .guard import ClaimResult, Identity, InboxOutcome, is_stale, lock_group
from .table import deferred_message, processed_message


@dataclass(frozen=True, slots=True)
class DeferredMessage:
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

    async def look(self, session: AsyncSession) -> ClaimResult:
        """How it stands right now; decides nothing."""
        asked = select(select(literal(1)).where(self._is_mine()).exists(), is_stale(self.identity))
        mine, stale = (await session.execute(asked)).one()
        if not mine:
            return ClaimResult.DUPLICATE
        return ClaimResult.STALE if stale else ClaimResult.NEW

    async def begin(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Change the inbox row and end the waiting, first in the transaction of what is done about it.

        With SETTLED nothing more may be done: somebody else has it, or ended it.
        """
        await lock_group(session, self.identity.consumer, self.identity.group)
        ended = await session.execute(delete(deferred_message).where(self._is_mine()).returning(deferred_message.c.id))
        if ended.first() is None:
            return ClaimResult.DUPLICATE
        outcome = case((is_stale(self.identity), literal(str(stale))), else_=literal(str(new)))
        said = await self._say(session, outcome)
        await promote(session, self.identity.consumer, self.identity.group)
        return ClaimResult.STALE if said == stale and stale != new else ClaimResult.NEW

    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Let it wait again, or make it a dead letter. SETTLED means that it is no longer this taker's."""
        await lock_group(session, self.identity.consumer, self.identity.group)
        kept = await session.execute(
            update(deferred_message)
            .where(self._is_mine())
            .values(**state.columns(), taken_until=None, starts=0)
            .returning(deferred_message.c.id)
        )
        if kept.first() is None:
            return ClaimResult.DUPLICATE
        await self._say(session, literal(str(state.outcome)))
        if not state.blocks:
            await promote(session, self.identity.consumer, self.identity.group)
        return ClaimResult.NEW

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


@dataclass(frozen=True, slots=True)
class Due:
    """A group of which the oldest message in turn is due, and how often that was started without coming to an end."""

    group: str
    starts: int


async def find_due(session: AsyncSession, consumer: str, *, without: Sequence[str], limit: int) -> list[Due]:
    """Up to `limit` groups of which a message is due, but for those `without`; whose turn is longest due is first."""
    row = deferred_message.alias("row")
    found = await session.execute(
        select(row.c.message_group, row.c.starts)
        .where(row.c.consumer == consumer, _is_due(row), _is_free(row))
        .where(row.c.message_group != all_(literal(list(without), ARRAY(Text))))
        .where(row.c.id == _in_turn(consumer, row.c.message_group))
        .order_by(row.c.due_at)
        .limit(limit)
    )
    return [Due(each.message_group, each.starts) for each in found]


async def start(session: AsyncSession, consumer: str, due: Due, *, lease_seconds: float) -> DeferredMessage | None:
    """Take the oldest message of the group that is due and note that it starts; to be committed before it does.

    None if there is none in turn, somebody else has it, or it was started more often than was said.
    """
    table = deferred_message
    # Asked again of the row itself: whoever had its lock may have put it aside anew. Not in a way that an index serves,
    # for there is one row.
    still_due = and_(table.c.status == WAITING, func.coalesce(table.c.due_at, func.now()) <= func.now())
    taken = await session.execute(
        update(table)
        .where(table.c.id == _in_turn(consumer, literal(due.group)), still_due, _is_free(table))
        .where(table.c.starts <= due.starts)
        .values(taken_until=in_seconds(lease_seconds), starts=table.c.starts + 1)
        .returning(*table.columns)
    )
    found = taken.first()
    return None if found is None else _parked(found)


def _is_due(table: FromClause) -> ColumnElement[bool]:
    return and_(table.c.status == WAITING, table.c.due_at <= func.now())  # stable, so that an index serves it


def _is_free(table: FromClause) -> ColumnElement[bool]:
    return or_(table.c.taken_until.is_(None), table.c.taken_until < func.now())


def _in_turn(consumer: str, group: ColumnElement[str]) -> ScalarSelect[int]:
    """The id of the first of a group's messages that is due or that blocks: nothing behind it may run before it."""
    first = deferred_message.alias("first")
    return (
        select(first.c.id)
        .where(first.c.consumer == consumer, or_(first.c.blocks, _is_due(first)))
        .where(*of_group(first, group))
        .order_by(first.c.message_group, first.c.id)
        .limit(1)
        .scalar_subquery()
    )


def _parked(row: object) -> DeferredMessage:
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
    return DeferredMessage(
        id=found["id"],
        identity=identity,
        body=found["envelope"],
        attributes=found["attributes"],
        attempts=found["attempts"],
        starts=found["starts"],
        taken_until=found["taken_until"],
    )
