"""The rows of deferred messages: how they are inserted, and which of a group is next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Interval,
    Text,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from .delivery import Delivery
from .states import DeferredState, Status
from .table import deferred_message

ERROR_CHARACTERS = 2000


async def insert_row(session: AsyncSession, delivery: Delivery, state: DeferredState) -> None:
    """Insert the row of a message that is deferred; its inbox row is in the same transaction."""
    event = delivery.event
    await session.execute(
        insert(deferred_message).values(
            consumer=delivery.consumer,
            event_id=event.id,
            message_id=delivery.message_id,
            message_group=delivery.group,
            source=event.source,
            subject=event.subject,
            sequence=event.sequence,
            type=event.type,
            envelope=delivery.body,
            attributes={storable(name): storable(value) for name, value in delivery.attributes.items()},
            **columns_of(state),
        )
    )


def columns_of(state: DeferredState) -> dict[str, object]:
    """The columns of a row that is deferred like this."""
    return {
        "status": state.status,
        "due_at": None if state.due_in is None else in_seconds(state.due_in),
        "reason": state.reason,
        "error": storable(state.error)[:ERROR_CHARACTERS],
        "attempts": state.attempts,
        "blocks": state.blocks,
    }


# Literals, not parameters: a statement that is planned once for all values can use no partial index.
WAITING: ColumnElement[str] = literal_column(f"'{Status.WAITING}'")
_BLOCKED: ColumnElement[str] = literal_column(f"'{Status.BLOCKED}'")


def of_group(table: FromClause, group: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The rows of a group, as a range, so that an ordering by group and id can use the group's index only.

    With an equality and an ordering by id the planner may scan the primary key, past the rows of all other groups.
    """
    return table.c.message_group >= group, table.c.message_group <= group


async def unblock(session: AsyncSession, consumer: str, groups: Collection[str]) -> None:
    """Make the oldest blocked message of each group due, unless another message still blocks the group.

    The caller holds the locks of the groups.
    """
    group = func.unnest(cast(sorted(groups), ARRAY(Text))).table_valued("message_group").render_derived()
    blocked, other = deferred_message.alias("blocked"), deferred_message.alias("other")
    name = cast(group.c.message_group, Text)
    oldest = (
        select(blocked.c.id)
        .where(blocked.c.consumer == consumer, blocked.c.blocks, blocked.c.status == _BLOCKED)
        .where(*of_group(blocked, name))
        .order_by(blocked.c.message_group, blocked.c.id)
        .limit(1)
        .lateral("oldest")
    )
    still_blocked = (
        select(literal(1))
        .where(other.c.consumer == consumer, other.c.message_group == name, other.c.blocks, other.c.status != _BLOCKED)
        .exists()
    )
    ready = select(oldest.c.id).select_from(group.join(oldest, true())).where(~still_blocked)
    await session.execute(
        update(deferred_message)
        .where(deferred_message.c.id.in_(ready))
        .values(status=Status.WAITING, due_at=func.clock_timestamp())
    )


def in_seconds(seconds: float | ColumnElement[float], since: datetime | None = None) -> ColumnElement[object]:
    """A moment by the database's clock, counted from now or from another one."""
    start: ColumnElement[Any] = func.clock_timestamp() if since is None else literal(since, DateTime(timezone=True))
    return start + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)


def storable(text: str) -> str:
    """The text with the characters that Postgres cannot store replaced or escaped."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="backslashreplace").decode()
