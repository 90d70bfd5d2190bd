"""Claims an event for its handler: has it been processed, is its group blocked, does it come out of order?"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Text, case, cast, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from .delivery import Delivery
from .states import ClaimResult, InboxOutcome
from .table import deferred_message, processed_message


async def look(session: AsyncSession, delivery: Delivery) -> ClaimResult:
    """What `claim` would answer now. It takes no lock: only `claim` decides."""
    asked = select(_is_processed(delivery), group_is_blocked(delivery), is_stale(delivery))
    processed, blocked, stale = (await session.execute(asked)).one()
    if processed:
        return ClaimResult.DUPLICATE
    if blocked:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if stale else ClaimResult.NEW


async def claim(
    session: AsyncSession,
    delivery: Delivery,
    *,
    new: InboxOutcome = InboxOutcome.HANDLED,
    stale: InboxOutcome = InboxOutcome.HANDLED_STALE,
    may_block: bool = True,
) -> ClaimResult:
    """Insert the inbox row: first in the transaction of the writes that the event causes.

    After DUPLICATE nothing was inserted, and nothing may be written. After BLOCKED the row has the outcome `deferred`,
    and the message must be deferred in this transaction; it is never the answer unless it `may_block`. Otherwise the
    row has the outcome `new` or `stale`. READ COMMITTED is required: an insert that meets the same key in another open
    transaction waits for the end of that transaction.
    """
    await lock_group(session, delivery.consumer, delivery.group)
    columns = _columns(delivery)
    values = [literal(value, processed_message.c[name].type) for name, value in columns.items()]
    blocked = group_is_blocked(delivery) if may_block else literal(False)
    outcome = case(
        (blocked, literal(str(InboxOutcome.DEFERRED))),
        (is_stale(delivery), literal(str(stale))),
        else_=literal(str(new)),
    )
    inserted = await session.execute(
        insert(processed_message)
        .from_select([*columns, "outcome"], select(*values, outcome))
        .on_conflict_do_nothing(index_elements=["consumer", "event_id"])
        .returning(processed_message.c.outcome)
    )
    row = inserted.first()
    if row is None:
        return ClaimResult.DUPLICATE
    if may_block and row.outcome == InboxOutcome.DEFERRED and new is not InboxOutcome.DEFERRED:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if row.outcome == stale and stale != new else ClaimResult.NEW


async def lock_group(session: AsyncSession, consumer: str, group: str) -> None:
    """Lock a group until the transaction ends, so that its rows do not change between a look at them and a change.

    A statement of its own, so that the next one sees what the previous holder of the lock committed.
    """
    key = func.hashtextextended(f"{consumer}\x1f{group}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def try_lock_groups(session: AsyncSession, consumer: str, groups: Iterable[str]) -> set[str]:
    """Lock those of the groups that are free until the transaction ends, and return them. It waits for no lock."""
    group = func.unnest(cast(sorted(groups), ARRAY(Text))).column_valued("message_group")
    key = func.hashtextextended(literal(f"{consumer}\x1f", Text).concat(group), 0)
    found = await session.execute(select(group, func.pg_try_advisory_xact_lock(key)))
    return {name for name, is_held in found if is_held}


def _columns(delivery: Delivery) -> dict[str, object]:
    return {
        "consumer": delivery.consumer,
        "event_id": delivery.event.id,
        "message_id": delivery.message_id,
        "source": delivery.event.source,
        "subject": delivery.event.subject,
        "sequence": delivery.event.sequence,
        "type": delivery.event.type,
        "time": delivery.event.time,
    }


def _is_processed(delivery: Delivery) -> ColumnElement[bool]:
    return exists().where(
        processed_message.c.consumer == delivery.consumer, processed_message.c.event_id == delivery.event.id
    )


def group_is_blocked(delivery: Delivery) -> ColumnElement[bool]:
    """Whether a deferred message of the group blocks the later ones: derived from the rows, never a flag."""
    return exists().where(
        deferred_message.c.consumer == delivery.consumer,
        deferred_message.c.message_group == delivery.group,
        deferred_message.c.blocks,
    )


def is_stale(delivery: Delivery) -> ColumnElement[bool]:
    """Whether a later event was *handled*. One that was deferred or skipped makes no other event stale."""
    if delivery.event.subject is None or delivery.event.source is None or delivery.event.sequence is None:
        return literal(False)
    # The highest sequence, not EXISTS with a higher one: for EXISTS the planner takes a scan of all rows for cheap.
    latest = select(func.max(processed_message.c.sequence)).where(
        processed_message.c.consumer == delivery.consumer,
        processed_message.c.subject == delivery.event.subject,
        processed_message.c.source == delivery.event.source,
        processed_message.c.outcome == InboxOutcome.HANDLED,
    )
    return func.coalesce(latest.scalar_subquery() > delivery.event.sequence, False)
