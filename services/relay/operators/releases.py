"""Lets held groups go that an operator released: in bounded steps, and none of a group before all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.error_text import describe
from event_trio.lifecycle import Waker
from event_trio.outbox.notifier import CHANNEL, LANES_CHANNEL
from event_trio.signals import Signals

from .holds import TAKE_TURN

log = structlog.get_logger(__name__)

STEP = 1000
EVERY_SECONDS = 5.0
LANE = 0

REQUEST = """
-- request: let a held group go; nothing when that was asked for already
INSERT INTO outbox_release (subject, requested_by) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING subject
"""

CANCEL = """
-- cancel: the group is not to go after all
DELETE FROM outbox_release WHERE subject = $1 RETURNING subject
"""

NEXT = """
-- next: the release whose turn it is
SELECT subject FROM outbox_release ORDER BY requested_at, subject LIMIT 1 FOR UPDATE SKIP LOCKED
"""

# From the end of the group to its head: as long as any of its events is held, all of it is.
LET_GO = """
-- let_go: of the held events of a group those with the highest sequences
WITH last AS (
    SELECT e.id, e.sequence FROM outbox_event e
    WHERE e.held_at IS NOT NULL AND e.subject = $1 AND ($3::bigint IS NULL OR e.sequence <= $3)
    ORDER BY e.sequence DESC LIMIT $2 FOR NO KEY UPDATE
), freed AS (
    UPDATE outbox_event e SET held_at = NULL, held_reason = NULL FROM last WHERE e.id = last.id RETURNING e.sequence
)
SELECT count(*) AS freed, min(sequence) AS lowest FROM freed
"""


async def request(connection: Connection, subject: str, *, actor: str) -> bool:
    """Ask for a release, in the caller's transaction; False when it was asked for before."""
    asked = await connection.fetchval(REQUEST, subject, actor)
    await connection.execute(f"NOTIFY {LANES_CHANNEL}")
    return asked is not None


async def cancel(connection: Connection, subject: str) -> bool:
    """Take a release back, in the caller's transaction; False when there is none. Waits for a step under way."""
    return await connection.fetchval(CANCEL, subject) is not None


class Releases:
    """Does what was asked for, one group after the other; a relay that dies over one leaves it to the next."""

    name = "releases"

    def __init__(self, pool: Pool, *, may_work: Callable[[int], bool], signals: Signals) -> None:
        self._pool = pool
        self._may_work = may_work
        self._signals = signals
        self._waker = Waker()
        self._place: tuple[str, int] | None = None

    def wake(self) -> None:
        """Look for a release now."""
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Release what is asked for until asked to stop."""
        while not stopping.is_set():
            more = False
            if self._may_work(LANE):
                try:
                    more = await self.step()
                except DATABASE_FAULTS as error:
                    log.warning("cannot release", action="releases.failed", error=describe(error))
            if not more:
                await self._waker.rest(stopping, EVERY_SECONDS)

    async def step(self) -> bool:
        """One bounded step of the oldest release; True when there may be more to do."""
        async with transaction(self._pool) as connection:
            await connection.execute(TAKE_TURN)
            subject: str | None = await connection.fetchval(NEXT)
            if subject is None:
                return False
            # Behind what was let go lie the entries that it left in the index; only the last look passes over them.
            place = self._place[1] if self._place and self._place[0] == subject else None
            row = await connection.fetchrow(LET_GO, subject, STEP, place)
            done = place is None and row["freed"] < STEP
            if done:
                await connection.execute(CANCEL, subject)
                await connection.execute(f"NOTIFY {CHANNEL}")
        self._place = (subject, row["lowest"]) if row["freed"] == STEP else None
        self._signals.emit("releases.stepped", subject=subject, events=row["freed"])
        if done:
            log.info("group released", action="releases.done", subject=subject)
            self._signals.emit("releases.done", subject=subject)
        return True
