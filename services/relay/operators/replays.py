"""Lets events go again that were sent before: a persistent job, in bounded steps, before anything new of a group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import structlog

from event_trio.database.connections import DATABASE_FAULTS, Connection, Pool, transaction
from event_trio.error_text import describe
from event_trio.lifecycle import Waker
from event_trio.outbox.notifier import CHANNEL, LANES_CHANNEL
from event_trio.signals import Signals

from ..metrics import RelayMetrics
from .replay_walks import Criteria as Criteria
from .replay_walks import Walk, walk_of

log = structlog.get_logger(__name__)

# Rows looked at in one step, and when events are counted: a look costs the same whatever the table holds.
STEP = 5000
COUNTED = 100_000
EVERY_SECONDS = 5.0
LANE = 0
ALWAYS = datetime.max.replace(tzinfo=UTC)

NOW = """
-- now: the time by the database's clock
SELECT clock_timestamp()
"""

REQUEST = """
-- request: put a replay down, for whoever owns the lane
INSERT INTO outbox_replay (
    requested_by, reason, criteria, requested_at, subject, from_id, after_id, until_id, from_at, after_at, until_at,
    finished_at
)
VALUES ($1, $2, $3::jsonb, $4, $5, $6, $6, $7, $8, $8, $9, CASE WHEN $10 THEN clock_timestamp() END) RETURNING id
"""

CANCEL = """
-- cancel: nothing more goes again; waits for a step that is under way
UPDATE outbox_replay SET finished_at = statement_timestamp(), cancelled_at = statement_timestamp(), cancelled_by = $2
WHERE id = $1 AND finished_at IS NULL RETURNING replayed
"""

STATE = """
-- state: whether there is a replay of this number, and which group alone it concerns
SELECT subject FROM outbox_replay WHERE id = $1
"""

UNFINISHED = """
-- unfinished: the replay whose turn it is
SELECT id, criteria, subject, requested_at, after_id, until_id, after_at, until_at FROM outbox_replay
WHERE finished_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

ADVANCE = """
-- advance: a step of a replay is done
UPDATE outbox_replay SET after_id = coalesce($2, after_id), after_at = coalesce($3, after_at),
    replayed = replayed + $4, finished_at = CASE WHEN $5 THEN clock_timestamp() END
WHERE id = $1 RETURNING replayed
"""


class AtLeast(int):
    """A number at which counting stopped: there may be more."""


async def count(connection: Connection, criteria: Criteria) -> int:
    """How many events would go again; an AtLeast when it was not counted to the end."""
    now: datetime = await connection.fetchval(NOW)
    walk = await walk_of(connection, criteria, now)
    chosen, cut = await walk.count(connection, criteria, now, most=COUNTED)
    return AtLeast(chosen) if cut else chosen


async def request(connection: Connection, criteria: Criteria, *, actor: str, reason: str) -> int:
    """Ask for a replay, in the caller's transaction; returns the job's number.

    From its commit on nothing of a group that it concerns is read until its events are pending again: per group, what
    goes again goes before what is new. Of all other groups reading goes on.
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
    """Stop a replay, in the caller's transaction; how many events it had returned, or None if it is over."""
    replayed: int | None = await connection.fetchval(CANCEL, job, actor)
    if replayed is not None:
        await connection.execute(f"NOTIFY {CHANNEL}")
    return replayed


class Replays:
    """Does the jobs, one after the other; a relay that dies over one leaves it to the next."""

    name = "replays"

    def __init__(self, pool: Pool, *, may_work: Callable[[int], bool], metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._may_work = may_work
        self._metrics = metrics
        self._signals = signals
        self._waker = Waker()

    def wake(self) -> None:
        """Look for a job now."""
        self._waker.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Do what is asked for until asked to stop."""
        while not stopping.is_set():
            more = False
            if self._may_work(LANE):
                try:
                    more = await self.step()
                except DATABASE_FAULTS as error:
                    log.warning("cannot replay", action="replays.failed", error=describe(error))
            if not more:
                await self._waker.rest(stopping, EVERY_SECONDS)

    async def step(self) -> bool:
        """One bounded step of the oldest job; True when there may be more to do."""
        async with transaction(self._pool) as connection:
            job = await connection.fetchrow(UNFINISHED)
            if job is None:
                return False
            row = await self._replay(connection, job)
            total: int = await connection.fetchval(
                ADVANCE,
                job["id"],
                row["last"],
                row["last_at"] if job["after_at"] else None,
                row["replayed"],
                row["done"],
            )
            if row["done"]:
                await connection.execute(f"NOTIFY {CHANNEL}")
        self._metrics.republished.labels(reason="replay").inc(row["replayed"])
        if row["done"]:
            log.info("replay done", action="replays.done", job=job["id"], events=total)
            self._signals.emit("replays.done", job=job["id"], events=total)
        return True

    async def _replay(self, connection: Connection, job: asyncpg.Record) -> asyncpg.Record:
        criteria = Criteria.from_json(job["criteria"])
        walk = Walk(job["after_id"], job["until_id"], job["after_at"], job["until_at"], job["subject"])
        # Whatever a broker had that is no more goes again, however late that was recorded.
        sent_by = job["requested_at"] if criteria != Criteria() else ALWAYS
        return await walk.step(connection, criteria, sent_by, most=STEP)
