"""Changes that an operator makes to an outbox: each in one transaction with its audit entry."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from event_trio.database.connections import Connection, Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard
from event_trio.outbox.notifier import CHANNEL
from event_trio.outbox.schema import LANES

from ..publishing.backlog import FRESH_SECONDS
from . import audit, holds, releases
from .audit import Decision
from .errors import NotInOutbox as NotInOutbox
from .errors import OperationRefused as OperationRefused
from .replay_requests import ReplayRequests

log = structlog.get_logger(__name__)

# More than a relay takes of a group in one read: what it has in hand may still be sent, and is then held no longer.
HELD_AT_ONCE = 100
# A hold counts from its statement, but is seen from its commit on.
COMMIT_SECONDS = 1.0

HOLD = """
-- hold: the first unsent events of a group; a relay follows up with the rest
WITH first AS (
    SELECT e.id FROM outbox_event e
    WHERE e.lane = $1 AND e.subject = $2 AND e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at IS NULL
    ORDER BY e.sequence LIMIT $4
), locked AS (
    SELECT e.id FROM outbox_event e JOIN first USING (id) WHERE e.sent_at IS NULL AND e.held_at IS NULL
    ORDER BY e.id FOR NO KEY UPDATE OF e
)
UPDATE outbox_event e SET held_at = clock_timestamp(), held_reason = $3 FROM locked WHERE e.id = locked.id
"""

IS_HELD = """
-- is_held: why a group is held
SELECT e.held_reason FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT 1
"""

LOOK = """
-- look: an event that is to be discarded, and for how long it is held
SELECT e.*, extract(epoch FROM clock_timestamp() - e.held_at)::float8 AS held_seconds
FROM outbox_event e WHERE e.event_id = $1 FOR UPDATE
"""

DISCARD = """
-- discard: take an event out of the outbox
DELETE FROM outbox_event WHERE id = $1
"""

# Those behind another say so; any other reason is one of the event's own.
OTHER_CAUSE = """
-- other_cause: whether a group is held for another of its events, too
SELECT EXISTS (
    SELECT FROM (
        SELECT e.held_reason FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1
        ORDER BY e.sequence LIMIT 100
    ) AS first WHERE first.held_reason NOT LIKE 'behind %'
)
"""

INHERIT = """
-- inherit: the first of those that stay held takes over the reason
UPDATE outbox_event SET held_reason = $2 WHERE id = (
    SELECT e.id FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject = $1 ORDER BY e.sequence LIMIT 1
)
"""

PAUSE = """
-- pause: nothing is read any more
UPDATE outbox_control SET paused_at = clock_timestamp(), paused_by = $1, paused_reason = $2 WHERE paused_at IS NULL
"""

RESUME = """
-- resume: reading goes on
UPDATE outbox_control SET paused_at = NULL, paused_by = NULL, paused_reason = NULL WHERE paused_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Discarded:
    """What became of the group of a discarded event: whether what is behind it may go."""

    subject: str
    released: bool


def lane_of(subject: str) -> int:
    """The lane of a group, as the database computes it."""
    return hashlib.md5(subject.encode(), usedforsecurity=False).digest()[0] % LANES


class Operations(ReplayRequests):
    """Every call may raise NotInOutbox, OperationRefused, or what the database raises; then nothing was changed.

    A change that is made `once` keeps its answer in its own transaction; asked for again it raises Repeated, KeyReused
    or KeyInUse, and changes nothing.
    """

    def __init__(self, pool: Pool, *, call_seconds: float) -> None:
        super().__init__(pool)
        self._call_seconds = call_seconds

    @property
    def settling_seconds(self) -> float:
        """How long after a hold a call may still be under way that was begun before it."""
        return FRESH_SECONDS + self._call_seconds + COMMIT_SECONDS

    async def hold(self, subject: str, decision: Decision, *, once: IdempotencyGuard[int] = NO_GUARD) -> int:
        """Hold a group until somebody releases it; returns how many of its events were held at once.

        Nothing of it need wait: then what comes is held as it comes. What a relay has in hand may still go, for
        `settling_seconds`.
        """
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            cancelled = await releases.cancel(connection, subject)
            if not cancelled and (held := await connection.fetchval(IS_HELD, subject)) is not None:
                raise OperationRefused(f"the group is held already: {held}")
            if not cancelled and (ahead := await holds.placed(connection, subject)) is not None:
                raise OperationRefused(f"the group is held already: {ahead}")
            await holds.place(connection, subject, actor=decision.actor, why=decision.reason)
            reason = holds.reason(decision.actor, decision.reason)
            status = await connection.execute(HOLD, lane_of(subject), subject, reason, HELD_AT_ONCE)
            events = _affected(status)
            await audit.record(connection, "hold", decision, subject=subject, details={"events": events})
            await once.keep(connection.fetch, events)
        log.info("group held by an operator", action="operations.hold", subject=subject, actor=decision.actor)
        return events

    async def release(self, subject: str, decision: Decision, *, once: IdempotencyGuard[None] = NO_GUARD) -> None:
        """Let a held group go; a relay does it in steps, and sends nothing of the group before all of it is free."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            lifted = await holds.lift(connection, subject)
            if not lifted and await connection.fetchval(IS_HELD, subject) is None:
                raise NotInOutbox("this group is not held")
            if not await releases.request(connection, subject, actor=decision.actor):
                raise OperationRefused("the group is being released already")
            await audit.record(connection, "release", decision, subject=subject)
            await once.keep(connection.fetch, None)
        log.info("group to be released", action="operations.release", subject=subject, actor=decision.actor)

    async def discard(
        self,
        event_id: UUID,
        decision: Decision,
        *,
        keep_held: bool = False,
        once: IdempotencyGuard[Discarded] = NO_GUARD,
    ) -> Discarded:
        """Take a held event out of the outbox, for good; the audit keeps what it was, but not its payload.

        If its group was held for it alone, the rest is let go, unless it is to be kept held. Only what was held for
        `settling_seconds` can be discarded: a call that is still under way would bring it to the broker after all,
        and after those behind it.
        """
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            row = await connection.fetchrow(LOOK, event_id)
            if row is None:
                raise NotInOutbox("this event is not in the outbox: unknown, pruned after its retention, or discarded")
            self._check_settled(row)
            await connection.execute(DISCARD, row["id"])
            released = await self._decide_on_rest(connection, row, decision, keep_held=keep_held)
            columns = [name for name, _ in row.items() if name != "held_seconds"]
            await audit.record(
                connection,
                audit.DISCARD,
                decision,
                subject=row["subject"],
                event_id=event_id,
                details={
                    "sequence": row["sequence"],
                    "held_reason": row["held_reason"],
                    "released": released,
                    audit.ROW: audit.freeze(row, columns),
                },
            )
            done = Discarded(row["subject"], released)
            await once.keep(connection.fetch, done)
        log.warning(
            "event discarded by an operator",
            action="operations.discard",
            event_id=str(event_id),
            subject=row["subject"],
            actor=decision.actor,
        )
        return done

    async def pause(self, decision: Decision, *, once: IdempotencyGuard[None] = NO_GUARD) -> None:
        """Send nothing any more until resumed; what relays have in hand still goes."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            if not _affected(await connection.execute(PAUSE, decision.actor, decision.reason)):
                raise OperationRefused("the outbox is paused already")
            await audit.record(connection, "pause", decision)
            await once.keep(connection.fetch, None)
        log.warning("outbox paused", action="operations.pause", actor=decision.actor)

    async def resume(self, decision: Decision, *, once: IdempotencyGuard[None] = NO_GUARD) -> None:
        """Send again."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            if not _affected(await connection.execute(RESUME)):
                raise OperationRefused("the outbox is not paused")
            await audit.record(connection, "resume", decision)
            await once.keep(connection.fetch, None)
            await connection.execute(f"NOTIFY {CHANNEL}")
        log.info("outbox resumed", action="operations.resume", actor=decision.actor)

    def _check_settled(self, row: asyncpg.Record) -> None:
        if row["held_at"] is None:
            raise OperationRefused("only a held event can be discarded: hold its group first")
        left = self.settling_seconds - row["held_seconds"]
        if left >= 0:
            raise OperationRefused(
                "the event is not held for long enough: a call that was under way may still bring it to the broker",
                retry_after=math.floor(left) + 1,
            )

    async def _decide_on_rest(
        self, connection: Connection, row: asyncpg.Record, decision: Decision, *, keep_held: bool
    ) -> bool:
        """Whether the rest of a discarded event's group may go; what stays held keeps a reason."""
        subject = row["subject"]
        if await holds.placed(connection, subject) is not None:
            # Somebody holds the group, not this event.
            return False
        if row["held_reason"].startswith("behind ") or await connection.fetchval(OTHER_CAUSE, subject):
            return False
        # Those behind may be held by now, or not yet.
        held = await connection.fetchval(IS_HELD, subject) is not None
        if keep_held:
            reason = f"kept held by {decision.actor}: {decision.reason}"
            if held:
                await connection.execute(INHERIT, subject, reason)
            else:
                await connection.execute(HOLD, lane_of(subject), subject, reason, HELD_AT_ONCE)
        elif held:
            await releases.request(connection, subject, actor=decision.actor)
        else:
            await connection.execute(f"NOTIFY {CHANNEL}")
        return not keep_held


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
