"""Lets events go again that were sent before: a persistent job, done in bounded steps, before anything new."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from shared.database import DATABASE_FAULTS, Connection, Pool, transaction
from shared.lifecycle import Waker
from shared.outbox.doorbell import CHANNEL, LANES_CHANNEL
from shared.signals import Signals

from ..metrics import RelayMetrics

log = structlog.get_logger(__name__)

# Rows looked at in one step.
STEP = 5000
EVERY_SECONDS = 5.0
LANE = 0

CHOSEN = """
    e.sent_at IS NOT NULL
    AND ($3::uuid IS NULL OR e.event_id = $3) AND ($4::text IS NULL OR e.subject = $4)
    AND ($5::text IS NULL OR e.attributes ->> 'type' = ANY (string_to_array($5, ',')))
    AND ($6::timestamptz IS NULL OR e.recorded_at >= $6) AND ($7::timestamptz IS NULL OR e.recorded_at < $7)
"""

COUNT = f"""
-- count: how many events a replay would choose
SELECT count(*) FROM outbox_event e WHERE e.id > $1 AND e.id <= $2 AND {CHOSEN}
"""  # noqa: S608 - constants only

REPLAY = f"""
-- replay: of the next rows by id, those that are chosen are pending again
WITH looked AS (
    SELECT id FROM outbox_event WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $8
), returned AS (
    UPDATE outbox_event e
    SET sent_at = NULL, published_at = NULL, broker_message_id = NULL, attempts = 0, republished = e.republished + 1
    FROM looked WHERE e.id = looked.id AND {CHOSEN}
    RETURNING 1
)
SELECT coalesce(max(id), $2) AS last, count(*) < $8 AS done, (SELECT count(*) FROM returned) AS replayed FROM looked
"""  # noqa: S608 - constants only

REQUEST = """
-- request: put a replay down, for whoever owns the lane
INSERT INTO outbox_replay (requested_by, reason, criteria, until_id)
SELECT $1, $2, $3::jsonb, coalesce(max(id), 0) FROM outbox_event RETURNING id
"""

UNFINISHED = """
-- unfinished: the replay whose turn it is
SELECT id, criteria, after_id, until_id FROM outbox_replay WHERE finished_at IS NULL ORDER BY id LIMIT 1
FOR UPDATE SKIP LOCKED
"""

ADVANCE = """
-- advance: a step of a replay is done
UPDATE outbox_replay SET after_id = $2, replayed = replayed + $3,
    finished_at = CASE WHEN $4 THEN clock_timestamp() END
WHERE id = $1 RETURNING replayed
"""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which of the events that were sent go again; what is None does not matter. Commas part several types."""

    event_id: UUID | None = None
    subject: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def to_json(self) -> str:
        """For the job's row."""
        values = {name: getattr(self, name) for name in ("event_id", "subject", "type", "since", "until")}
        return json.dumps({name: str(value) for name, value in values.items() if value is not None})

    @classmethod
    def from_json(cls, text: str) -> Criteria:
        """From the job's row."""
        found: dict[str, str] = json.loads(text)
        return cls(
            event_id=UUID(found["event_id"]) if "event_id" in found else None,
            subject=found.get("subject"),
            type=found.get("type"),
            since=datetime.fromisoformat(found["since"]) if "since" in found else None,
            until=datetime.fromisoformat(found["until"]) if "until" in found else None,
        )

    def arguments(self) -> tuple[object, ...]:
        """As the statements take them, from $3 on."""
        return (self.event_id, self.subject, self.type, self.since, self.until)


async def count(connection: Connection, criteria: Criteria) -> int:
    """How many events would go again."""
    chosen: int = await connection.fetchval(COUNT, 0, 2**62, *criteria.arguments())
    return chosen


async def request(connection: Connection, criteria: Criteria, *, actor: str, reason: str) -> int:
    """Ask for a replay, in the caller's transaction; returns the job's number.

    From its commit on nothing is read until the job is done: per group, what goes again goes before what is new.
    """
    job: int = await connection.fetchval(REQUEST, actor, reason, criteria.to_json())
    await connection.execute(f"NOTIFY {LANES_CHANNEL}")
    return job


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
                    log.warning("cannot replay", action="replays.failed", error=f"{type(error).__name__}: {error}")
            if not more:
                await self._waker.rest(stopping, EVERY_SECONDS)

    async def step(self) -> bool:
        """One bounded step of the oldest job; True when there may be more to do."""
        async with transaction(self._pool) as connection:
            job = await connection.fetchrow(UNFINISHED)
            if job is None:
                return False
            row = await self._replay(connection, job)
            total: int = await connection.fetchval(ADVANCE, job["id"], row["last"], row["replayed"], row["done"])
            if row["done"]:
                await connection.execute(f"NOTIFY {CHANNEL}")
        self._metrics.republished.labels(reason="replay").inc(row["replayed"])
        if row["done"]:
            log.info("replay done", action="replays.done", job=job["id"], events=total)
            self._signals.emit("replays.done", job=job["id"], events=total)
        return True

    async def _replay(self, connection: Connection, job: asyncpg.Record) -> asyncpg.Record:
        criteria = Criteria.from_json(job["criteria"])
        row: asyncpg.Record = await connection.fetchrow(
            REPLAY, job["after_id"], job["until_id"], *criteria.arguments(), STEP
        )
        return row
