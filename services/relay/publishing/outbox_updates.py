"""Marks events as sent, failed or published: one statement for a batch, never one for a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from event_trio.database.connections import Pool, transaction

# Rows are locked in the order of their ids first: two relays that mark overlapping events would deadlock otherwise.
# An acknowledgement is recorded by whoever has it, lease or no lease, unless the event was since republished; and also
# when the event's confirmation came first, within a call's time: only the acknowledgement knows when it was sent, and
# the next event of its group was sent after that.
MARK_SENT = """
-- mark_sent: the broker acknowledged these, so many seconds ago
WITH acknowledged AS (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::float8[]) AS a(id, republished, message_id, age)
), locked AS (
    SELECT e.id, a.message_id, a.age, e.sent_at IS NULL AS news FROM outbox_event e JOIN acknowledged a USING (id)
    WHERE e.republished = a.republished AND (
        e.sent_at IS NULL OR e.broker_message_id IS NULL AND e.published_at > clock_timestamp() - interval '2 minutes'
    )
    ORDER BY e.id FOR NO KEY UPDATE OF e
)
UPDATE outbox_event e
SET sent_at = least(e.published_at, greatest(e.recorded_at, clock_timestamp() - locked.age * interval '1 second')),
    broker_message_id = locked.message_id, last_error = NULL, held_at = NULL, held_reason = NULL
FROM locked WHERE e.id = locked.id
RETURNING extract(epoch FROM e.sent_at - e.recorded_at)::float8 AS waited, locked.news
"""

MARK_FAILED = """
-- mark_failed: count an attempt of these, if their lanes are still ours
UPDATE outbox_event e SET attempts = e.attempts + 1, last_error = f.error
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS f(id, token, error), outbox_lane l
WHERE e.id = f.id AND l.lane = e.lane AND l.owner = $4 AND l.token = f.token AND e.sent_at IS NULL
"""

MARK_HELD = """
-- mark_held: refused for good; its group waits for a person, if its lane is still ours
UPDATE outbox_event e
SET attempts = e.attempts + 1, last_error = f.error, held_at = clock_timestamp(), held_reason = f.error
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS f(id, token, error), outbox_lane l
WHERE e.id = f.id AND l.lane = e.lane AND l.owner = $4 AND l.token = f.token AND e.sent_at IS NULL
"""

# Only what came back of the latest sending confirms it: what an earlier broker had is not what the one of now has. When
# the last confirmation came, and of what was sent when, is kept in one row, written once a second at the most.
MARK_PUBLISHED = """
-- mark_published: these came back through the publish check
WITH confirmed AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[]) AS c(event_id, republished)
), locked AS (
    SELECT e.id FROM outbox_event e JOIN confirmed c USING (event_id)
    WHERE e.republished = c.republished AND e.published_at IS NULL
    ORDER BY e.id FOR NO KEY UPDATE OF e
), published AS (
    UPDATE outbox_event e
    SET published_at = statement_timestamp(), sent_at = coalesce(e.sent_at, statement_timestamp()), last_error = NULL,
        held_at = NULL, held_reason = NULL
    FROM locked WHERE e.id = locked.id
    RETURNING e.event_id, e.attributes, e.recorded_at, e.sent_at, e.published_at
), noted AS (
    UPDATE outbox_control c
    SET confirmed_at = clock_timestamp(), confirmed_sent_at = greatest(c.confirmed_sent_at, newest.sent_at)
    FROM (SELECT max(p.sent_at) AS sent_at FROM published p) AS newest
    WHERE newest.sent_at IS NOT NULL
      AND (c.confirmed_at IS NULL OR c.confirmed_at < clock_timestamp() - interval '1 second')
)
SELECT p.event_id, p.attributes ->> 'type' AS type,
       extract(epoch FROM p.published_at - p.recorded_at)::float8 AS since_recorded,
       extract(epoch FROM p.published_at - p.sent_at)::float8 AS since_sent
FROM published p
"""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An event that the broker accepted `age` seconds ago."""

    id: int
    republished: int
    message_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that the broker did not accept, with the token of the lane under which it was sent."""

    id: int
    token: int
    error: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An event that came back, of the sending that its deduplication id names: 0 is the first."""

    event_id: UUID
    republished: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """An event that is published, and how long that took, in seconds."""

    event_id: UUID
    type: str
    since_recorded: float
    since_sent: float


class OutboxUpdates:
    """Writes the states of events. Every call may raise what the database raises, and may be repeated."""

    def __init__(self, pool: Pool, relay_id: UUID) -> None:
        self._pool = pool
        self._relay_id = relay_id

    async def mark_sent(self, acknowledgements: Sequence[Acknowledgement]) -> list[float]:
        """Record acknowledgements; returns the seconds from recorded to sent of those that were news."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                MARK_SENT,
                [a.id for a in acknowledgements],
                [a.republished for a in acknowledgements],
                [_storable(a.message_id) for a in acknowledgements],
                [a.age for a in acknowledgements],
            )
        return [row["waited"] for row in rows if row["news"]]

    async def mark_failed(self, failures: Sequence[Failure]) -> None:
        """Count an attempt and keep the error; without effect where the lane is another relay's by now."""
        await self._mark(MARK_FAILED, failures)

    async def mark_held(self, failures: Sequence[Failure]) -> None:
        """As `mark_failed`, and hold the event, and with it its group, until a person decides."""
        await self._mark(MARK_HELD, failures)

    async def _mark(self, statement: str, failures: Sequence[Failure]) -> None:
        async with transaction(self._pool) as connection:
            await connection.execute(
                statement,
                [f.id for f in failures],
                [f.token for f in failures],
                [_storable(f.error) for f in failures],
                self._relay_id,
            )

    async def mark_published(self, confirmations: Sequence[Confirmation]) -> list[Publication]:
        """Record confirmations; returns those that were news.

        Unknown and repeated ones change nothing, nor do those of a sending that is not the event's latest.
        """
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                MARK_PUBLISHED, [c.event_id for c in confirmations], [c.republished for c in confirmations]
            )
        return [
            Publication(row["event_id"], row["type"] or "", row["since_recorded"], row["since_sent"]) for row in rows
        ]


def _storable(text: str) -> str:
    """The broker's words as Postgres takes them: one odd character must not keep a whole batch from being written."""
    return text.replace("\x00", "").encode(errors="replace").decode()
