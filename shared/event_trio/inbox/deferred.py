"""What it means that a message is put aside, and the row that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Interval,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from .guard import Identity, InboxOutcome
from .table import deferred_message

ERROR_CHARACTERS = 2000


class Status(StrEnum):
    """Why a message was put aside."""

    WAITING = "waiting"
    """It runs again when it is due."""
    BLOCKED = "blocked"
    """It waits for those of its group that were put aside before it."""
    DEAD = "dead"
    """A dead letter: somebody must redrive or discard it."""


@dataclass(frozen=True, slots=True)
class DeferredState:
    """How a message is put aside. `reason` is a stable name, `error` what happened this time."""

    status: Status
    reason: str
    error: str
    attempts: int = 0
    due_in: float | None = None
    """Seconds until it runs again, if it waits."""
    blocks: bool = False
    """Whether later messages of its group wait behind it."""

    @property
    def outcome(self) -> InboxOutcome:
        """What the inbox says of it."""
        return InboxOutcome.DEAD_LETTER if self.status is Status.DEAD else InboxOutcome.DEFERRED

    def columns(self) -> dict[str, object]:
        """The row's columns that depend on how it is put aside."""
        return {
            "status": self.status,
            "due_at": None if self.due_in is None else in_seconds(self.due_in),
            "reason": self.reason,
            "error": storable(self.error)[:ERROR_CHARACTERS],
            "attempts": self.attempts,
            "blocks": self.blocks,
        }


BLOCKED = DeferredState(Status.BLOCKED, "blocked", "its group waits for an earlier message", blocks=True)


async def add(
    session: AsyncSession, identity: Identity, state: DeferredState, envelope: bytes, attributes: Mapping[str, str]
) -> None:
    """Insert the row of a message that is put aside; its inbox row is in the same transaction."""
    await session.execute(
        insert(deferred_message).values(
            consumer=identity.consumer,
            event_id=identity.event_id,
            message_id=identity.message_id,
            message_group=identity.group,
            source=identity.source,
            subject=identity.subject,
            sequence=identity.sequence,
            type=identity.type,
            envelope=envelope,
            attributes={storable(name): storable(value) for name, value in attributes.items()},
            **state.columns(),
        )
    )


# Written out, or no partial index would serve a statement that is planned once for all values.
WAITING: ColumnElement[str] = literal_column(f"'{Status.WAITING}'")
_BLOCKED: ColumnElement[str] = literal_column(f"'{Status.BLOCKED}'")


def of_group(table: FromClause, group: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The rows of a group, as a range: ordered by group and id they come by the group's index only, and the first is
    found at once. Asked for by equality and ordered by id they may come by the primary key, past all other groups.
    """
    return table.c.message_group >= group, table.c.message_group <= group


async def promote(session: AsyncSession, consumer: str, group: str) -> None:
    """Let the oldest message behind run, if nothing is left that it waits for. The caller holds the group's lock."""
    table = deferred_message.c
    oldest = (
        select(table.id)
        .where(table.consumer == consumer, table.blocks, table.status == _BLOCKED)
        .where(*of_group(deferred_message, literal(group)))
        .order_by(table.message_group, table.id)
        .limit(1)
        .scalar_subquery()
    )
    mine = (table.consumer == consumer, table.message_group == group, table.blocks)
    in_the_way = select(literal(1)).where(*mine, table.status != _BLOCKED).exists()
    await session.execute(
        update(deferred_message)
        .where(table.id == oldest, ~in_the_way)
        .values(status=Status.WAITING, due_at=func.clock_timestamp())
    )


async def promote_all(session: AsyncSession, consumer: str, groups: Collection[str]) -> None:
    """The same for several groups at once. The caller holds the locks of all of them."""
    behind, other = deferred_message.alias("behind"), deferred_message.alias("other")
    in_the_way = (
        select(literal(1))
        .where(other.c.consumer == behind.c.consumer, other.c.message_group == behind.c.message_group)
        .where(other.c.blocks, other.c.status != Status.BLOCKED)
        .exists()
    )
    oldest = (
        select(func.min(behind.c.id))
        .where(behind.c.consumer == consumer, behind.c.message_group.in_(groups), behind.c.blocks)
        .where(behind.c.status == Status.BLOCKED, ~in_the_way)
        .group_by(behind.c.message_group)
    )
    await session.execute(
        update(deferred_message)
        .where(deferred_message.c.id.in_(oldest))
        .values(status=Status.WAITING, due_at=func.clock_timestamp())
    )


def in_seconds(seconds: float | ColumnElement[float], since: datetime | None = None) -> ColumnElement[object]:
    """A moment by the database's clock, counted from now or from another one."""
    start: ColumnElement[Any] = func.clock_timestamp() if since is None else literal(since, DateTime(timezone=True))
    return start + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)


def storable(text: str) -> str:
    """Without the one character that Postgres has no place for."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
