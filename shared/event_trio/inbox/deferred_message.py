"""A deferred message that is due: leased, run, and then completed or deferred again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    Text,
    all_,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from .claim import is_stale, lock_group
from .deferred import WAITING, columns_of, in_seconds, of_group, unblock
from .delivery import DecodedMessage, Delivery
from .states import ClaimResult, DeferredState, InboxOutcome, Status
from .table import deferred_message, processed_message


@dataclass(slots=True, eq=False, kw_only=True)
class DeferredMessage(Delivery):
    """A delivery from a row of `deferred_message`. Its outcome is one transaction with a change of its inbox row.

    Whoever leased it has it until `leased_until`. After that the row may be gone or leased by another, and nothing is
    changed.
    """

    is_recorded: ClassVar[bool] = True

    row_id: int
    starts: int
    """How often it was started since its last outcome, this start included."""
    leased_until: datetime

    def accept(self, event: DecodedMessage) -> None:
        """Keep what was decoded; its key and its place come from the row."""
        row = self.event
        self.event = replace(
            event, id=row.id, group=self.group, source=row.source, subject=row.subject, sequence=row.sequence
        )

    async def look(self, session: AsyncSession) -> ClaimResult:
        """What `claim` would answer now. It decides nothing."""
        asked = select(select(literal(1)).where(self._is_leased()).exists())
        if not (await session.execute(asked)).scalar_one():
            return ClaimResult.DUPLICATE
        return ClaimResult.STALE if await is_stale(session, self) else ClaimResult.NEW

    async def claim(self, session: AsyncSession, *, new: InboxOutcome, stale: InboxOutcome) -> ClaimResult:
        """Delete the row and change the inbox row: first in the transaction of the handler's writes.

        After DUPLICATE nothing may be written: another process has it, or completed it.
        """
        await lock_group(session, self.consumer, self.group)
        gone = await session.execute(delete(deferred_message).where(self._is_leased()).returning(deferred_message.c.id))
        if gone.first() is None:
            return ClaimResult.DUPLICATE
        outcome = stale if await is_stale(session, self) else new
        await self._record(session, outcome)
        await unblock(session, self.consumer, [self.group])
        return ClaimResult.STALE if outcome == stale and stale != new else ClaimResult.NEW

    async def defer(self, session: AsyncSession, state: DeferredState) -> ClaimResult:
        """Defer it again, or make it a dead letter. DUPLICATE means that its lease has ended."""
        await lock_group(session, self.consumer, self.group)
        kept = await session.execute(
            update(deferred_message)
            .where(self._is_leased())
            .values(**columns_of(state), taken_until=None, starts=0)
            .returning(deferred_message.c.id)
        )
        if kept.first() is None:
            return ClaimResult.DUPLICATE
        await self._record(session, state.outcome)
        if not state.blocks:
            await unblock(session, self.consumer, [self.group])
        return ClaimResult.NEW

    async def end_lease(self, session: AsyncSession) -> None:
        """End the lease of a message that came to no outcome. The start is not counted as an attempt."""
        table = deferred_message.c
        await session.execute(
            update(deferred_message)
            .where(self._is_leased())
            .values(taken_until=None, starts=func.greatest(table.starts - 1, 0))
        )

    def _is_leased(self) -> ColumnElement[bool]:
        table = deferred_message.c
        return and_(table.id == self.row_id, table.status == Status.WAITING, table.taken_until == self.leased_until)

    async def _record(self, session: AsyncSession, outcome: InboxOutcome) -> None:
        table = processed_message.c
        changed = (
            update(processed_message)
            .where(table.consumer == self.consumer, table.event_id == self.event.id)
            .values(outcome=str(outcome), processed_at=func.clock_timestamp())
            .returning(table.outcome)
        )
        (await session.execute(changed)).scalar_one()


@dataclass(frozen=True, slots=True)
class Due:
    """A group whose next message is due, and how often that message was started without an outcome."""

    group: str
    starts: int


async def find_due(session: AsyncSession, consumer: str, *, without: Sequence[str], limit: int) -> list[Due]:
    """Up to `limit` groups with a message that is due, except those in `without`; the longest due first."""
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


async def lease(session: AsyncSession, consumer: str, due: Due, *, lease_seconds: float) -> DeferredMessage | None:
    """Lease the next message of the group and count its start; to be committed before it runs.

    None if no message of the group is due, another process has it, or it was started more often than `due` says.
    """
    table = deferred_message
    # Checked again on the row itself: the previous holder of its lock may have deferred it again. The expression avoids
    # the index on purpose, for there is one row.
    still_due = and_(table.c.status == WAITING, func.coalesce(table.c.due_at, func.now()) <= func.now())
    taken = await session.execute(
        update(table)
        .where(table.c.id == _in_turn(consumer, literal(due.group)), still_due, _is_free(table))
        .where(table.c.starts <= due.starts)
        .values(taken_until=in_seconds(lease_seconds), starts=table.c.starts + 1)
        .returning(*table.columns)
    )
    found = taken.first()
    return None if found is None else _of(found)


def _is_due(table: FromClause) -> ColumnElement[bool]:
    return and_(table.c.status == WAITING, table.c.due_at <= func.now())  # stable, so that an index serves it


def _is_free(table: FromClause) -> ColumnElement[bool]:
    return or_(table.c.taken_until.is_(None), table.c.taken_until < func.now())


def _in_turn(consumer: str, group: ColumnElement[str]) -> ScalarSelect[int]:
    """The id of the first message of a group that is due or blocks the group: no later one may run before it."""
    first = deferred_message.alias("first")
    return (
        select(first.c.id)
        .where(first.c.consumer == consumer, or_(first.c.blocks, _is_due(first)))
        .where(*of_group(first, group))
        .order_by(first.c.message_group, first.c.id)
        .limit(1)
        .scalar_subquery()
    )


def _of(row: Any) -> DeferredMessage:
    return DeferredMessage(
        consumer=row.consumer,
        message_id=row.message_id,
        group=row.message_group,
        event=DecodedMessage(
            id=row.event_id,
            group=row.message_group,
            type=row.type,
            source=row.source,
            subject=row.subject,
            sequence=row.sequence,
        ),
        body=row.envelope,
        attributes=row.attributes,
        failures=row.attempts,
        row_id=row.id,
        starts=row.starts,
        leased_until=row.taken_until,
    )
