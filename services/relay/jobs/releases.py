"""Releases held groups in bounded steps. No event of a group is sent before all of its events are free."""

from __future__ import annotations

import structlog

from event_trio.database.connections import Pool, transaction
from event_trio.error_text import describe
from event_trio.outbox.notifier import CHANNEL
from event_trio.signals import Signals

from ..group_sql import LOCK_HELD_GROUPS

log = structlog.get_logger(__name__)

STEP = 1000

NEXT = """
-- next: the oldest requested release
SELECT subject FROM outbox_release ORDER BY requested_at, subject LIMIT 1 FOR UPDATE SKIP LOCKED
"""

# From the end of the group to its head, because one held event holds the whole group.
FREE = """
-- free: the held events of a group with the highest sequences
WITH last AS (
    SELECT e.id, e.sequence FROM outbox_event e
    WHERE e.held_at IS NOT NULL AND e.subject = $1 AND ($3::bigint IS NULL OR e.sequence <= $3)
    ORDER BY e.sequence DESC LIMIT $2 FOR NO KEY UPDATE
), freed AS (
    UPDATE outbox_event e SET held_at = NULL, held_reason = NULL, held_behind = NULL
    FROM last WHERE e.id = last.id RETURNING e.sequence
)
SELECT count(*) AS freed, min(sequence) AS lowest FROM freed
"""

FINISH = """
-- finish: the release of a group is done
DELETE FROM outbox_release WHERE subject = $1
"""


class Releases:
    """Carries out requested releases, one group after another; if a relay dies, another continues."""

    name = "releases"
    rest_seconds = 5.0
    busy_seconds = 0.0

    def __init__(self, pool: Pool, *, signals: Signals) -> None:
        self._pool = pool
        self._signals = signals
        self._position: tuple[str, int] | None = None

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot release", action="releases.failed", error=describe(error))

    async def step(self) -> bool:
        """Free a bounded number of events of the oldest release; True if there may be more to do."""
        async with transaction(self._pool) as connection:
            await connection.execute(LOCK_HELD_GROUPS)
            subject: str | None = await connection.fetchval(NEXT)
            if subject is None:
                return False
            # Freed rows leave dead index entries, so the next step starts below them. Only the final check of the
            # whole group passes over them again.
            position = self._position[1] if self._position and self._position[0] == subject else None
            row = await connection.fetchrow(FREE, subject, STEP, position)
            done = position is None and row["freed"] < STEP
            if done:
                await connection.execute(FINISH, subject)
                await connection.execute(f"NOTIFY {CHANNEL}")
        self._position = (subject, row["lowest"]) if row["freed"] == STEP else None
        self._signals.emit("releases.stepped", subject=subject, events=row["freed"])
        if done:
            log.info("group released", action="releases.done", subject=subject)
            self._signals.emit("releases.done", subject=subject)
        return True
