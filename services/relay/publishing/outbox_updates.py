"""Updates the states of events: sent, failed, held or published, with one statement for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from event_trio.database.connections import Pool, single_statement

# Rows are locked in the order of their ids, because two relays that update overlapping events could deadlock otherwise.
# Any relay may record an acknowledgement, even after losing its lease; the update applies while `sent_at` is null and
# the event has not been republished since. It also applies if the confirmation came first, within the time of a call:
# only the acknowledgement has the time of sending, and the next event of the group was sent after it.
MARK_SENT = """
-- mark_sent: events that the broker acknowledged some seconds ago
WITH acknowledged AS (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::float8[]) AS a(id, republished, message_id, age)
), locked AS (
    SELECT e.id, a.message_id, a.age, e.sent_at IS NULL AS news FROM outbox_event e JOIN acknowledged a USING (id)
    WHERE e.republished = a.republished AND (
        e.sent_at IS NULL OR e.broker_message_id IS NULL AND e.published_at > clock_timestamp() - interval '2 minutes'
    )
    ORDER BY e.id FOR NO KEY UPDATE OF e
), sent AS (
    UPDATE outbox_event e
    SET sent_at = least(e.published_at, greatest(e.recorded_at, clock_timestamp() - locked.age * interval '1 second')),
        broker_message_id = locked.message_id, last_error = NULL, held_at = NULL, held_reason = NULL, held_behind = NULL
    FROM locked WHERE e.id = locked.id
    RETURNING extract(epoch FROM e.sent_at - e.recorded_at)::float8 AS waited, locked.news
)
SELECT array_agg(sent.waited) FILTER (WHERE sent.news) FROM sent
"""

MARK_FAILED = """
-- mark_failed: count an attempt, if this relay still owns the lane
UPDATE outbox_event e SET attempts = e.attempts + 1, last_error = f.error
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS f(id, token, error), outbox_lane l
WHERE e.id = f.id AND l.lane = e.lane AND l.owner = $4 AND l.token = f.token AND e.sent_at IS NULL
"""

MARK_HELD = """
-- mark_held: hold a permanently rejected event, if this relay still owns the lane
UPDATE outbox_event e
SET attempts = e.attempts + 1, last_error = f.error, held_at = clock_timestamp(), held_reason = f.error,
    held_behind = NULL
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS f(id, token, error), outbox_lane l
WHERE e.id = f.id AND l.lane = e.lane AND l.owner = $4 AND l.token = f.token AND e.sent_at IS NULL
"""

# A confirmation applies only to the latest sending: a message of an earlier broker proves nothing about this one. If
# its acknowledgement is not recorded, the update records both; this relay may have the acknowledgement's time and id.
# The time of the last confirmation, and when its event was sent, are kept in one row, written at most once a second.
MARK_PUBLISHED = """
-- mark_published: events seen on the publish check
WITH confirmed AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::float8[])
        AS c(event_id, republished, message_id, age)
), locked AS (
    SELECT e.id, c.message_id, c.age FROM outbox_event e JOIN confirmed c USING (event_id)
    WHERE e.republished = c.republished AND e.published_at IS NULL
    ORDER BY e.id FOR NO KEY UPDATE OF e
), published AS (
    UPDATE outbox_event e
    SET published_at = statement_timestamp(),
        sent_at = coalesce(e.sent_at, greatest(
            e.recorded_at, statement_timestamp() - coalesce(locked.age, 0) * interval '1 second'
        )),
        broker_message_id = coalesce(e.broker_message_id, locked.message_id), last_error = NULL,
        held_at = NULL, held_reason = NULL, held_behind = NULL
    FROM locked WHERE e.id = locked.id
    RETURNING e.event_id, e.attributes ->> 'type' AS type, e.recorded_at, e.sent_at, e.published_at
), noted AS (
    UPDATE outbox_control c
    SET confirmed_at = clock_timestamp(), confirmed_sent_at = greatest(c.confirmed_sent_at, newest.sent_at)
    FROM (SELECT max(p.sent_at) AS sent_at FROM published p) AS newest
    WHERE newest.sent_at IS NOT NULL
      AND (c.confirmed_at IS NULL OR c.confirmed_at < clock_timestamp() - interval '1 second')
)
SELECT coalesce(array_agg(p.event_id), '{}'), coalesce(array_agg(coalesce(p.type, '')), '{}'),
       coalesce(array_agg(extract(epoch FROM p.published_at - p.recorded_at)::float8), '{}'),
       coalesce(array_agg(extract(epoch FROM p.published_at - p.sent_at)::float8), '{}')
FROM published p
"""


class Acknowledgement(NamedTuple):
    """An event that the broker accepted `age` seconds ago."""

    id: int
    republished: int
    message_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that the broker did not accept, and the token of its lane at the time of sending."""

    id: int
    token: int
    error: str


class Confirmation(NamedTuple):
    """An event seen on the publish check, and which sending of it: 0 is the first.

    `message_id` and `age` are those of its Acknowledgement, if that is known and not recorded.
    """

    event_id: UUID
    republished: int = 0
    message_id: str | None = None
    age: float | None = None


class Publication(NamedTuple):
    """An event that became published, and how long that took, in seconds."""

    event_id: UUID
    type: str
    since_recorded: float
    since_sent: float


class OutboxUpdates:
    """Updates the states of events. Every call may raise what the database raises, and may be repeated."""

    def __init__(self, pool: Pool, relay_id: UUID) -> None:
        self._pool = pool
        self._relay_id = relay_id

    async def mark_sent(self, acknowledgements: Sequence[Acknowledgement]) -> list[float]:
        """Record acknowledgements; returns the seconds from recorded to sent of events that were not marked before."""
        if not acknowledgements:
            return []
        ids, republished, message_ids, ages = zip(*acknowledgements, strict=True)
        async with single_statement(self._pool) as connection:
            waited: list[float] | None = await connection.fetchval(
                MARK_SENT, ids, republished, [_storable(message_id) for message_id in message_ids], ages
            )
        return waited or []

    async def mark_failed(self, failures: Sequence[Failure]) -> None:
        """Count an attempt and store the error; without effect if another relay owns the lane by now."""
        await self._mark(MARK_FAILED, failures)

    async def mark_held(self, failures: Sequence[Failure]) -> None:
        """Do the same as `mark_failed`, and hold the event and its group until an operator decides."""
        await self._mark(MARK_HELD, failures)

    async def _mark(self, statement: str, failures: Sequence[Failure]) -> None:
        async with single_statement(self._pool) as connection:
            await connection.execute(
                statement,
                [f.id for f in failures],
                [f.token for f in failures],
                [_storable(f.error) for f in failures],
                self._relay_id,
            )

    async def mark_published(self, confirmations: Sequence[Confirmation]) -> list[Publication]:
        """Record confirmations; returns the events that became published.

        Unknown and repeated confirmations have no effect, nor do those of an earlier sending.
        """
        async with single_statement(self._pool) as connection:
            columns = await connection.fetchrow(
                MARK_PUBLISHED,
                [c.event_id for c in confirmations],
                [c.republished for c in confirmations],
                [c.message_id and _storable(c.message_id) for c in confirmations],
                [c.age for c in confirmations],
            )
        return [Publication(*values) for values in zip(*columns, strict=True)] if columns else []


def _storable(text: str) -> str:
    """Return a text of the broker without characters that Postgres rejects, which would fail the whole batch."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode(errors="replace").decode()
