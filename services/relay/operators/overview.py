"""Queries of the outbox as a whole: the backlog, relays and lanes, pauses, replays, the audit."""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg

from event_trio.database.connections import DATABASE_FAULTS, Pool, acquire, transaction
from event_trio.database.probe import ask

from ..group_sql import COUNT_HELD_GROUPS
from ..jobs.gauge import MEASURE, MOST
from ..publishing.outbox_reader import why_unreadable
from . import audit_history
from .message_groups import GROUPS_COUNTED
from .views import AuditEntryView, CountView, LaneView, PauseView, RelayView, ReplayView, StatusView

CONTROL = """
-- control: the pause, if there is one, and the time by the database's clock
SELECT paused_at, paused_by, paused_reason, clock_timestamp() AS now FROM outbox_control
"""

PAUSED = """
-- paused: who paused the outbox, when and why
SELECT format('paused by %s since %sZ: %s', paused_by, to_char(paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
              paused_reason)
FROM outbox_control WHERE paused_at IS NOT NULL
"""

REPLAYS = """
-- replays: one by its number, or the oldest unfinished one
SELECT id, requested_at, requested_by, reason, criteria, replayed, finished_at, cancelled_at, cancelled_by,
       coalesce(
           extract(epoch FROM after_at - from_at) / nullif(extract(epoch FROM until_at - from_at), 0),
           (after_id - from_id)::numeric / nullif(until_id - from_id, 0), 0
       )::float8 AS progress
FROM outbox_replay WHERE CASE WHEN $1::bigint IS NULL THEN finished_at IS NULL ELSE id = $1 END ORDER BY id LIMIT 1
"""

RELAYS = """
-- relays: the relays of this outbox
SELECT r.relay_id, r.started_at, r.heartbeat_at,
       r.heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second' AS alive,
       extract(epoch FROM clock_timestamp() - r.heartbeat_at)::float8 AS silent_seconds, r.lease_seconds,
       (SELECT count(*) FROM outbox_lane l WHERE l.owner = r.relay_id) AS lanes
FROM outbox_relay r ORDER BY r.started_at, r.relay_id
"""

LANES = """
-- lanes: the owner of each lane
SELECT l.lane, l.owner, l.token,
       coalesce(r.heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second', false) AS owner_alive
FROM outbox_lane l LEFT JOIN outbox_relay r ON r.relay_id = l.owner ORDER BY l.lane
"""


class Overview:
    """Read-only queries. Every call except `paused` may raise what the database raises."""

    def __init__(self, pool: Pool, *, lease_seconds: float) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds

    async def status(self) -> StatusView:
        """Return the state of the outbox."""
        async with transaction(self._pool) as connection:
            measured = await connection.fetchrow(MEASURE, MOST)
            held: int = await connection.fetchval(COUNT_HELD_GROUPS, "", GROUPS_COUNTED)
            relays = await connection.fetch(RELAYS, self._lease_seconds)
            control = await connection.fetchrow(CONTROL)
            replay = await connection.fetchrow(REPLAYS, None)
        pending, unconfirmed = measured["pending"], measured["unconfirmed"]
        cut = pending + unconfirmed >= MOST
        return StatusView(
            database_time=control["now"],
            pending=CountView(value=pending, at_least=cut),
            unconfirmed=CountView(value=unconfirmed, at_least=cut),
            oldest_pending_seconds=measured["age"],
            held_groups=CountView.up_to(GROUPS_COUNTED, held),
            relays=sum(row["alive"] for row in relays),
            paused=_pause(control),
            replay=_replay(replay),
        )

    async def paused(self) -> str | None:
        """Return who paused the outbox, when and why, or why that is unknown; None if it is not paused."""
        try:
            async with acquire(self._pool) as connection:
                found = await ask(connection, PAUSED)
        except DATABASE_FAULTS as error:
            # The outbox check fails in the same way and logs it.
            return why_unreadable(error)
        return " ".join(found[0][0].split()) if found else None

    async def lanes(self) -> tuple[list[RelayView], list[LaneView]]:
        """Return the relays of this outbox, and every lane with its owner."""
        async with transaction(self._pool) as connection:
            lanes = await connection.fetch(LANES, self._lease_seconds)
            # Read after the lanes, so that every owner is included.
            relays = await connection.fetch(RELAYS, self._lease_seconds)
        return [RelayView(**dict(row)) for row in relays], [LaneView(**dict(row)) for row in lanes]

    async def replay(self, id: int) -> ReplayView | None:
        """Return a replay by its number."""
        async with transaction(self._pool) as connection:
            return _replay(await connection.fetchrow(REPLAYS, id))

    async def audit(
        self, *, before: int | None, subject: str | None, event_id: UUID | None, limit: int
    ) -> list[AuditEntryView]:
        """Return audit entries, newest first, before the entry of that number."""
        return await audit_history.page(self._pool, before=before, subject=subject, event_id=event_id, limit=limit)


def _pause(row: asyncpg.Record | None) -> PauseView | None:
    if row is None or row["paused_at"] is None:
        return None
    return PauseView(at=row["paused_at"], by=row["paused_by"], reason=row["paused_reason"])


def _replay(row: asyncpg.Record | None) -> ReplayView | None:
    if row is None:
        return None
    finished = row["finished_at"] and not row["cancelled_at"]
    progress = 1.0 if finished else max(0.0, min(1.0, row["progress"]))
    return ReplayView(**{**dict(row), "criteria": json.loads(row["criteria"]), "progress": progress})
