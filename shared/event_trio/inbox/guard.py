"""The guard before every handler: has this event been processed, and does it come out of order?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Text, case, cast, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from ..envelope import Envelope
from .table import deferred_message, processed_message


class ClaimResult(StrEnum):
    """How an event stands with a consumer."""

    NEW = "new"
    STALE = "stale"
    """A higher sequence of the same source and subject was handled already."""
    DUPLICATE = "duplicate"
    """The event itself was processed already, whatever came of it."""
    BLOCKED = "blocked"
    """Its group waits for a message that was put aside, and so must it."""


class InboxOutcome(StrEnum):
    """What became of an event, as its inbox row says."""

    HANDLED = "handled"
    HANDLED_STALE = "handled_stale"
    SKIPPED_STALE = "skipped_stale"
    IGNORED = "ignored"
    FAILURE_PUBLISHED = "failure_published"
    DEFERRED = "deferred"
    DEAD_LETTER = "dead_letter"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the inbox keeps of a message. Of one that cannot be read, only SQS's message id is known."""

    consumer: str
    event_id: str
    message_id: str
    group: str
    source: str | None = None
    subject: str | None = None
    sequence: int | None = None
    type: str | None = None
    time: datetime | None = None

    @classmethod
    def of(cls, consumer: str, envelope: Envelope, *, message_id: str, group: str) -> Identity:
        """The identity of an event."""
        return cls(
            consumer=consumer,
            event_id=str(envelope.id),
            message_id=message_id,
            group=group,
            source=envelope.source,
            subject=envelope.subject,
            sequence=envelope.sequence_number,
            type=envelope.type,
            time=envelope.time,
        )

    @classmethod
    def unreadable(cls, consumer: str, *, message_id: str, group: str) -> Identity:
        """The identity of a message that is no event."""
        return cls(consumer=consumer, event_id=message_id, message_id=message_id, group=group)

    def bare(self) -> Identity:
        """The same without what the event says of itself, beyond its id."""
        return Identity(self.consumer, self.event_id, self.message_id, self.group)


async def look(session: AsyncSession, identity: Identity) -> ClaimResult:
    """How the event stands right now. It takes no lock: only `claim` decides."""
    asked = select(_is_settled(identity), group_waits(identity), is_stale(identity))
    settled, behind, stale = (await session.execute(asked)).one()
    if settled:
        return ClaimResult.DUPLICATE
    if behind:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if stale else ClaimResult.NEW


async def claim(
    session: AsyncSession,
    identity: Identity,
    *,
    new: InboxOutcome = InboxOutcome.HANDLED,
    stale: InboxOutcome = InboxOutcome.HANDLED_STALE,
    queue: bool = True,
) -> ClaimResult:
    """Insert the inbox row, first of all in the transaction of whatever is done about the event.

    SETTLED means that nothing was inserted and nothing may be done; BLOCKED that the row says `deferred`, and that the
    message must be put behind those of its group in this transaction (never, unless it is to `queue`). `fresh` and
    `stale` are the outcomes that the row states otherwise. READ COMMITTED is required: an insert that meets the same
    key in another open transaction waits for its end.
    """
    await lock_group(session, identity.consumer, identity.group)
    columns = _columns(identity)
    values = [literal(value, processed_message.c[name].type) for name, value in columns.items()]
    behind = group_waits(identity) if queue else literal(False)
    outcome = case(
        (behind, literal(str(InboxOutcome.DEFERRED))),
        (is_stale(identity), literal(str(stale))),
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
    if queue and row.outcome == InboxOutcome.DEFERRED and new is not InboxOutcome.DEFERRED:
        return ClaimResult.BLOCKED
    return ClaimResult.STALE if row.outcome == stale and stale != new else ClaimResult.NEW


async def lock_group(session: AsyncSession, consumer: str, group: str) -> None:
    """Hold a group until the transaction ends, so that who looks at its rows and then acts does so alone.

    A statement of its own: what follows must see what the holder before committed.
    """
    key = func.hashtextextended(f"{consumer}\x1f{group}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def try_lock_groups(session: AsyncSession, consumer: str, groups: Iterable[str]) -> set[str]:
    """Hold those of the groups until the transaction ends that nobody holds; returns them. It waits for none."""
    group = func.unnest(cast(sorted(groups), ARRAY(Text))).column_valued("message_group")
    key = func.hashtextextended(literal(f"{consumer}\x1f", Text).concat(group), 0)
    found = await session.execute(select(group, func.pg_try_advisory_xact_lock(key)))
    return {name for name, is_held in found if is_held}


def _columns(identity: Identity) -> dict[str, object]:
    return {
        "consumer": identity.consumer,
        "event_id": identity.event_id,
        "message_id": identity.message_id,
        "source": identity.source,
        "subject": identity.subject,
        "sequence": identity.sequence,
        "type": identity.type,
        "time": identity.time,
    }


def _is_settled(identity: Identity) -> ColumnElement[bool]:
    return exists().where(
        processed_message.c.consumer == identity.consumer, processed_message.c.event_id == identity.event_id
    )


def group_waits(identity: Identity) -> ColumnElement[bool]:
    """Whether a message of the group was put aside for which the rest waits: derived from the rows, never a flag."""
    return exists().where(
        deferred_message.c.consumer == identity.consumer,
        deferred_message.c.message_group == identity.group,
        deferred_message.c.blocks,
    )


def is_stale(identity: Identity) -> ColumnElement[bool]:
    """Whether a later event was *handled*: one put aside or skipped makes nothing stale."""
    if identity.subject is None or identity.source is None or identity.sequence is None:
        return literal(False)
    # By the highest, not by whether there is a higher one: for that any plan looks cheap, also one through all rows.
    latest = select(func.max(processed_message.c.sequence)).where(
        processed_message.c.consumer == identity.consumer,
        processed_message.c.subject == identity.subject,
        processed_message.c.source == identity.source,
        processed_message.c.outcome == InboxOutcome.HANDLED,
    )
    return func.coalesce(latest.scalar_subquery() > identity.sequence, False)
