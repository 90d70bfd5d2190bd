"""Replays events: makes events that were sent before pending again, in bounded steps."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import structlog

from event_trio.database.connections import Connection, Pool, transaction
from event_trio.error_text import describe
from event_trio.outbox.notifier import CHANNEL
from event_trio.signals import Signals

from ..metrics import RelayMetrics
from .replay_walks import Criteria, Walk

log = structlog.get_logger(__name__)

# Rows examined in one step, so that a step costs the same whatever the size of the table.
STEP = 5000
ALWAYS = datetime.max.replace(tzinfo=UTC)

UNFINISHED = """
-- unfinished: the oldest unfinished replay
SELECT id, criteria, subject, requested_at, after_id, until_id, after_at, until_at FROM outbox_replay
WHERE finished_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

ADVANCE = """
-- advance: a step of a replay is done
UPDATE outbox_replay SET after_id = coalesce($2, after_id), after_at = coalesce($3, after_at),
    replayed = replayed + $4, finished_at = CASE WHEN $5 THEN clock_timestamp() END
WHERE id = $1 RETURNING replayed
"""


class Replays:
    """Carries out requested replays, one after another; if a relay dies, another continues."""

    name = "replays"
    rest_seconds = 5.0
    busy_seconds = 0.0

    def __init__(self, pool: Pool, *, metrics: RelayMetrics, signals: Signals) -> None:
        self._pool = pool
        self._metrics = metrics
        self._signals = signals

    def log_failure(self, error: BaseException) -> None:
        """Log a step that failed."""
        log.warning("cannot replay", action="replays.failed", error=describe(error))

    async def step(self) -> bool:
        """Do a bounded step of the oldest replay; True if there may be more to do."""
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
        # A replay of everything follows the loss of a broker, so it includes events sent after it was requested.
        sent_by = job["requested_at"] if criteria != Criteria() else ALWAYS
        return await walk.step(connection, criteria, sent_by, most=STEP)
