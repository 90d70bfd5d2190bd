"""Claims an event for its handler: has it been processed, is its group blocked, does it come out of order?

The statements are executed by SQLAlchemy and by the driver, so their parameters are written by name and numbered once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from .states import ClaimResult, InboxOutcome

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from .delivery import Delivery

PLACE = ("consumer", "event_id", "message_group", "source", "subject", "sequence")
"""The parameters that say which event it is, and where it belongs."""
ROW = (*PLACE, "message_id", "type", "time", "new", "stale")
"""The parameters of an inbox row: `new` and `stale` are its outcome if no later event was handled, and if one was."""


def numbered(statement: str, names: Iterable[str], *, after: int = 0) -> str:
    """The statement with its named parameters replaced by those of Postgres, counted from `after` + 1."""
    return statement % {name: f"${number}" for number, name in enumerate(names, after + 1)}


# A blocked group is derived from the rows of its messages, never from a flag.
BLOCKED = """EXISTS (
    SELECT FROM deferred_message
    WHERE consumer = %(consumer)s::text AND message_group = %(message_group)s::text AND blocks
)"""

# Whether a later event was *handled*: one that was deferred or skipped makes no other event stale. It compares with the
# highest sequence, because the planner expects EXISTS with a higher one to be answered by a scan of all rows.
STALE = """coalesce((
    SELECT max(sequence) FROM processed_message
    WHERE consumer = %(consumer)s::text AND subject = %(subject)s::text AND source = %(source)s::text
          AND outcome = 'handled'
) > %(sequence)s::bigint, false)"""

LOOK = f"""
-- look: what a claim of the event would find; it takes no lock and decides nothing
SELECT EXISTS (
           SELECT FROM processed_message
           WHERE consumer = %(consumer)s::text AND event_id = %(event_id)s::text
       ) AS processed,
       {BLOCKED} AS blocked,
       {STALE} AS stale
"""  # noqa: S608 - constants of this file

CLAIM = f"""
-- claim: insert the inbox row of an event unless it is processed; under the lock of its group
INSERT INTO processed_message (consumer, event_id, message_id, source, subject, sequence, type, time, outcome)
SELECT %(consumer)s::text, %(event_id)s::text, %(message_id)s::text, %(source)s::text, %(subject)s::text,
       %(sequence)s::bigint, %(type)s::text, %(time)s::timestamptz,
       CASE WHEN %(may_block)s::boolean AND {BLOCKED} THEN 'deferred'
            WHEN {STALE} THEN %(stale)s::text
            ELSE %(new)s::text END
ON CONFLICT (consumer, event_id) DO NOTHING
RETURNING outcome
"""

LOOK_STATEMENT = numbered(LOOK, PLACE)
CLAIM_STATEMENT = numbered(CLAIM, (*ROW, "may_block"))
STALE_STATEMENT = numbered(f"SELECT {STALE} AS stale", ("consumer", "source", "subject", "sequence"))


def place(delivery: Delivery) -> tuple[Any, ...]:
    """The values of PLACE."""
    event = delivery.event
    return delivery.consumer, event.id, delivery.group, event.source, event.subject, event.sequence


def inbox_row(delivery: Delivery, new: InboxOutcome, stale: InboxOutcome) -> tuple[Any, ...]:
    """The values of ROW."""
    event = delivery.event
    return (*place(delivery), delivery.message_id, event.type, event.time, str(new), str(stale))


def found(row: Any) -> ClaimResult:
    """What a row of LOOK says."""
    processed, blocked, stale = row
    if processed:
        return ClaimResult.DUPLICATE
    if blocked:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if stale else ClaimResult.NEW


async def look(session: AsyncSession, delivery: Delivery) -> ClaimResult:
    """What `claim` would answer now. It takes no lock: only `claim` decides."""
    return found((await _execute(session, LOOK_STATEMENT, place(delivery))).one())


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
    inserted = await _execute(session, CLAIM_STATEMENT, (*inbox_row(delivery, new, stale), may_block))
    row = inserted.first()
    if row is None:
        return ClaimResult.DUPLICATE
    if may_block and row.outcome == InboxOutcome.DEFERRED and new is not InboxOutcome.DEFERRED:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if row.outcome == stale and stale != new else ClaimResult.NEW


async def is_stale(session: AsyncSession, delivery: Delivery) -> bool:
    """Whether a later event of the same source and subject was handled."""
    event = delivery.event
    values = (delivery.consumer, event.source, event.subject, event.sequence)
    return bool((await _execute(session, STALE_STATEMENT, values)).scalar_one())


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


async def _execute(session: AsyncSession, statement: str, values: tuple[Any, ...]) -> Any:
    return await (await session.connection()).exec_driver_sql(statement, values)
