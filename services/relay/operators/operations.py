"""The operations of operators, each in one transaction with its audit entry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from event_trio.database.connections import Connection, Pool, transaction
from event_trio.idempotency.guard import NO_GUARD, IdempotencyGuard
from event_trio.outbox.notifier import CHANNEL

from .. import audit_log
from ..audit_log import Decision
from ..leases.lane_hash import lane_of as lane_of
from ..publishing.backlog import FRESH_SECONDS
from . import audit_history, holds
from .errors import NotInOutbox as NotInOutbox
from .errors import OperationRefused as OperationRefused
from .replay_operations import ReplayOperations

log = structlog.get_logger(__name__)

# The time between the statement that holds an event and its commit, from which relays see it.
COMMIT_SECONDS = 1.0

LOOK = """
-- look: an event to be discarded, and for how long it has been held
SELECT e.*, extract(epoch FROM clock_timestamp() - e.held_at)::float8 AS held_seconds
FROM outbox_event e WHERE e.event_id = $1 FOR UPDATE
"""

DISCARD = """
-- discard: delete an event
DELETE FROM outbox_event WHERE id = $1
"""

PAUSE = """
-- pause: stop all reads
UPDATE outbox_control SET paused_at = clock_timestamp(), paused_by = $1, paused_reason = $2 WHERE paused_at IS NULL
"""

RESUME = """
-- resume: allow reads again
UPDATE outbox_control SET paused_at = NULL, paused_by = NULL, paused_reason = NULL WHERE paused_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Discarded:
    """A discarded event's group, and whether the events behind it were released."""

    subject: str
    released: bool


class Operations(ReplayOperations):
    """Every call may raise NotInOutbox, OperationRefused, or what the database raises; then nothing was changed.

    A change that is made `once` keeps its answer in its own transaction; asked for again it raises Repeated, KeyReused
    or KeyInUse, and changes nothing.
    """

    def __init__(self, pool: Pool, *, call_seconds: float) -> None:
        super().__init__(pool)
        self._call_seconds = call_seconds

    @property
    def settling_seconds(self) -> float:
        """How long after a hold a call that began before it may still be in progress."""
        return FRESH_SECONDS + self._call_seconds + COMMIT_SECONDS

    async def hold(self, subject: str, decision: Decision, *, once: IdempotencyGuard[int] = NO_GUARD) -> int:
        """Hold a group until it is released; returns how many of its events were held at once.

        A group without waiting events can be held; later events are then held as they are recorded. Events that a relay
        has already read may still be sent, for `settling_seconds`.
        """
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            cancelled = await holds.cancel_release(connection, subject)
            if not cancelled and (held := await holds.held_because(connection, subject)) is not None:
                raise OperationRefused(f"the group is held already: {held}")
            if not cancelled and (ahead := await holds.placed(connection, subject)) is not None:
                raise OperationRefused(f"the group is held already: {ahead}")
            await holds.place(connection, subject, actor=decision.actor, why=decision.reason)
            reason = holds.reason_of(decision.actor, decision.reason)
            events = await holds.hold_first(connection, subject, lane_of(subject), reason)
            await audit_log.record(connection, "hold", decision, subject=subject, details={"events": events})
            await once.keep(connection.fetch, events)
        log.info("group held by an operator", action="operations.hold", subject=subject, actor=decision.actor)
        return events

    async def release(self, subject: str, decision: Decision, *, once: IdempotencyGuard[None] = NO_GUARD) -> None:
        """Release a held group. A relay does so in steps; no event of the group is sent before all are free."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            lifted = await holds.lift(connection, subject)
            if not lifted and await holds.held_because(connection, subject) is None:
                raise NotInOutbox("this group is not held")
            if not await holds.request_release(connection, subject, actor=decision.actor):
                raise OperationRefused("the group is being released already")
            await audit_log.record(connection, "release", decision, subject=subject)
            await once.keep(connection.fetch, None)
        log.info("release of a group requested", action="operations.release", subject=subject, actor=decision.actor)

    async def discard(
        self,
        event_id: UUID,
        decision: Decision,
        *,
        keep_held: bool = False,
        once: IdempotencyGuard[Discarded] = NO_GUARD,
    ) -> Discarded:
        """Delete a held event permanently; the audit keeps it without its payload.

        If the event alone caused the hold of its group, the others are released, unless `keep_held` is set. The event
        must have been held for `settling_seconds`, because a call still in progress could send it after the events
        behind it.
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
            await audit_log.record(
                connection,
                audit_history.DISCARD,
                decision,
                subject=row["subject"],
                event_id=event_id,
                details={
                    "sequence": row["sequence"],
                    "held_reason": row["held_reason"],
                    "released": released,
                    audit_history.ROW: audit_history.freeze(row, columns),
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
        """Stop sending until resumed. Events that relays have already read are still sent."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            if not _affected(await connection.execute(PAUSE, decision.actor, decision.reason)):
                raise OperationRefused("the outbox is paused already")
            await audit_log.record(connection, "pause", decision)
            await once.keep(connection.fetch, None)
        log.warning("outbox paused", action="operations.pause", actor=decision.actor)

    async def resume(self, decision: Decision, *, once: IdempotencyGuard[None] = NO_GUARD) -> None:
        """Allow sending again."""
        async with transaction(self._pool) as connection:
            await once.claim(connection.fetch)
            if not _affected(await connection.execute(RESUME)):
                raise OperationRefused("the outbox is not paused")
            await audit_log.record(connection, "resume", decision)
            await once.keep(connection.fetch, None)
            await connection.execute(f"NOTIFY {CHANNEL}")
        log.info("outbox resumed", action="operations.resume", actor=decision.actor)

    def _check_settled(self, row: asyncpg.Record) -> None:
        if row["held_at"] is None:
            raise OperationRefused("only a held event can be discarded: hold its group first")
        left = self.settling_seconds - row["held_seconds"]
        if left >= 0:
            raise OperationRefused(
                "the event has not been held for long enough: a call in progress may still send it to the broker",
                retry_after=math.floor(left) + 1,
            )

    async def _decide_on_rest(
        self, connection: Connection, row: asyncpg.Record, decision: Decision, *, keep_held: bool
    ) -> bool:
        """Release the other events of a discarded event's group, or keep them held with a reason; True if released."""
        subject = row["subject"]
        if await holds.placed(connection, subject) is not None:
            # An operator holds the group itself.
            return False
        if row["held_behind"] is not None or await holds.has_other_cause(connection, subject):
            return False
        # The events behind it may not be held yet.
        held = await holds.held_because(connection, subject) is not None
        if keep_held:
            reason = f"kept held by {decision.actor}: {decision.reason}"
            if held:
                await holds.inherit(connection, subject, reason)
            else:
                await holds.hold_first(connection, subject, lane_of(subject), reason)
        elif held:
            await holds.request_release(connection, subject, actor=decision.actor)
        else:
            await connection.execute(f"NOTIFY {CHANNEL}")
        return not keep_held


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
