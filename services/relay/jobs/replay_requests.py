"""Requests, counts and cancels replays in the caller's transaction; `Replays` carries them out."""

from __future__ import annotations

from datetime import datetime

from event_trio.database.connections import Connection
from event_trio.outbox.notifier import CHANNEL, LANES_CHANNEL

from .replay_walks import Criteria as Criteria
from .replay_walks import walk_of

# Counting stops at this many examined rows, so that a count costs the same whatever the size of the table.
COUNTED = 100_000

NOW = """
-- now: the time by the database's clock
SELECT clock_timestamp()
"""

REQUEST = """
-- request: store a replay for the relay that owns the jobs' lane
INSERT INTO outbox_replay (
    requested_by, reason, criteria, requested_at, subject, from_id, after_id, until_id, from_at, after_at, until_at,
    finished_at
)
VALUES ($1, $2, $3::jsonb, $4, $5, $6, $6, $7, $8, $8, $9, CASE WHEN $10 THEN clock_timestamp() END) RETURNING id
"""

CANCEL = """
-- cancel: finish a replay early; waits for a step in progress
UPDATE outbox_replay SET finished_at = statement_timestamp(), cancelled_at = statement_timestamp(), cancelled_by = $2
WHERE id = $1 AND finished_at IS NULL RETURNING replayed
"""

FIND = """
-- find: whether a replay exists, and the group if it concerns only one
SELECT subject FROM outbox_replay WHERE id = $1
"""


class AtLeast(int):
    """A number at which counting stopped; the real number may be higher."""


async def count(connection: Connection, criteria: Criteria) -> int:
    """Return how many events a replay would choose; an AtLeast if counting stopped at its bound."""
    now: datetime = await connection.fetchval(NOW)
    walk = await walk_of(connection, criteria, now)
    chosen, cut = await walk.count(connection, criteria, now, most=COUNTED)
    return AtLeast(chosen) if cut else chosen


async def request(connection: Connection, criteria: Criteria, *, actor: str, reason: str) -> int:
    """Request a replay in the caller's transaction; returns its number.

    After the commit, groups with events to replay are not read until those events are pending again, so that in each
    group the replayed events are sent before new ones. Other groups are read as before.
    """
    now: datetime = await connection.fetchval(NOW)
    walk = await walk_of(connection, criteria, now)
    job: int = await connection.fetchval(
        REQUEST, actor, reason, criteria.to_json(), now,
        walk.subject, walk.after, walk.until, walk.after_at, walk.until_at, walk.empty,
    )  # fmt: skip
    await connection.execute(f"NOTIFY {LANES_CHANNEL}")
    return job


async def cancel(connection: Connection, job: int, *, actor: str) -> int | None:
    """Cancel a replay in the caller's transaction; returns how many events it had replayed, None if it is over."""
    replayed: int | None = await connection.fetchval(CANCEL, job, actor)
    if replayed is not None:
        await connection.execute(f"NOTIFY {CHANNEL}")
    return replayed
