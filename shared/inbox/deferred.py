"""Messages put aside: their rows are written in one transaction with their inbox rows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .guard import Identity, InboxOutcome, Standing, claim
from .table import deferred_message

ERROR_CHARACTERS = 2000


class Status(StrEnum):
    """Why a message was put aside."""

    WAITING = "waiting"
    """It runs again when it is due."""
    BEHIND = "behind"
    """It waits for those of its group that were put aside before it."""
    DEAD = "dead"
    """A dead letter: somebody must redrive or discard it."""


async def bury(
    session: AsyncSession,
    identity: Identity,
    *,
    reason: str,
    error: str,
    attempts: int,
    envelope: bytes,
    attributes: Mapping[str, str],
) -> Standing:
    """Make a message a dead letter, with its inbox row, in the caller's transaction.

    SETTLED means that it was processed in the meantime and nothing was written. `reason` is a stable name, `error`
    what happened this time.
    """
    outcome = InboxOutcome.DEAD_LETTER
    standing = await claim(session, identity, fresh=outcome, stale=outcome)
    if standing is not Standing.SETTLED:
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
                status=Status.DEAD,
                reason=reason,
                error=_storable(error)[:ERROR_CHARACTERS],
                attempts=attempts,
                envelope=envelope,
                attributes={_storable(name): _storable(value) for name, value in attributes.items()},
            )
        )
    return standing


def _storable(text: str) -> str:
    """Without the one character that Postgres has no place for."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
