"""The events that a replay chooses, and the walk along an index that reaches them in bounded steps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from event_trio.database.connections import Connection

from ..group_sql import SOURCES

# Events not sent before the request need no replay. With $8 null, unsent events are chosen, too.
CHOSEN = """
    ($8::timestamptz IS NULL OR e.sent_at <= $8)
    AND ($3::uuid IS NULL OR e.event_id = $3) AND ($4::text IS NULL OR e.subject = $4)
    AND ($5::text IS NULL OR e.attributes ->> 'type' = ANY (string_to_array($5, ',')))
    AND ($6::timestamptz IS NULL OR e.recorded_at >= $6) AND ($7::timestamptz IS NULL OR e.recorded_at < $7)
"""

# The whole outbox is walked by id, one group by sequence (equal sequences of two sources in the same step), a period by
# the time of recording, which is not the order of ids when clocks are adjusted.
BY_ID = "SELECT e.*, e.id AS place FROM outbox_event e WHERE e.id > $1 AND e.id <= $2 ORDER BY e.id LIMIT $9"
BY_SEQUENCE = f"""SELECT found.*, found.sequence AS place FROM unnest({SOURCES}) AS sources(source) CROSS JOIN LATERAL (
        SELECT e.* FROM outbox_event e
        WHERE e.source = sources.source AND e.subject = $4 AND e.sequence > $1 AND e.sequence <= $2
        ORDER BY e.sequence LIMIT $9
    ) AS found ORDER BY found.sequence FETCH FIRST $9 ROWS WITH TIES"""  # noqa: S608 - constants only
BY_TIME = """SELECT e.*, e.id AS place FROM outbox_event e
    WHERE (e.recorded_at, e.id) > ($10, $1) AND e.recorded_at <= $11 AND e.id <= $2
    ORDER BY e.recorded_at, e.id LIMIT $9"""

COUNT = """
-- count: the events that a replay would choose, and whether counting stopped at its bound
SELECT count(*) FILTER (WHERE {chosen}) AS chosen, count(*) >= $9 AS cut FROM ({walk}) AS e
"""

# The array of ids makes the planner use the primary key, whatever its statistics.
STEP = """
-- step: make the chosen ones of the next rows pending again; keep when they were first sent
WITH looked AS (
    SELECT e.id, e.place, e.recorded_at, ({chosen}) AS chosen FROM ({walk}) AS e
), locked AS (
    SELECT e.id FROM outbox_event e
    WHERE e.id = ANY (ARRAY(SELECT looked.id FROM looked WHERE looked.chosen))
      AND (e.sent_at IS NOT NULL OR $8::timestamptz IS NULL)
    ORDER BY e.id FOR NO KEY UPDATE
), returned AS (
    UPDATE outbox_event e
    SET first_sent_at = coalesce(e.first_sent_at, e.sent_at), sent_at = NULL,
        first_published_at = coalesce(e.first_published_at, e.published_at), published_at = NULL,
        broker_message_id = NULL, attempts = 0, republished = e.republished + 1
    WHERE e.id = ANY (ARRAY(SELECT locked.id FROM locked))
    RETURNING 1
)
SELECT max({place}) AS last, max(recorded_at) AS last_at, count(*) < $9 AS done,
       (SELECT count(*) FROM returned) AS replayed
FROM looked
"""

LAST = """
-- last: the highest id
SELECT id FROM outbox_event ORDER BY id DESC LIMIT 1
"""

OLDEST = """
-- oldest: when the oldest event was recorded
SELECT recorded_at FROM outbox_event ORDER BY recorded_at, id LIMIT 1
"""

OF_EVENT = """
-- of_event: the id and group of one event
SELECT id, subject FROM outbox_event WHERE event_id = $1
"""

LAST_OF_GROUP = f"""
-- last_of_group: the highest sequence of a group
SELECT max(found.sequence) FROM unnest({SOURCES}) AS sources(source) CROSS JOIN LATERAL (
    SELECT sequence FROM outbox_event WHERE source = sources.source AND subject = $1 ORDER BY sequence DESC LIMIT 1
) AS found
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which sent events are replayed; a criterion that is None matches all. Several types are separated by commas.

    With `unsent`, unsent events are chosen, too, so that later answers of an earlier broker do not apply to them.
    """

    event_id: UUID | None = None
    subject: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    unsent: bool = False

    def to_json(self) -> str:
        """Return the criteria as stored in the replay's row."""
        values = {name: getattr(self, name) for name in ("event_id", "subject", "type", "since", "until")}
        written = {name: str(value) for name, value in values.items() if value is not None}
        return json.dumps(written | ({"unsent": "true"} if self.unsent else {}))

    @classmethod
    def from_json(cls, text: str) -> Criteria:
        """Return the criteria of a replay's row."""
        found: dict[str, str] = json.loads(text)
        return cls(
            event_id=UUID(found["event_id"]) if "event_id" in found else None,
            subject=found.get("subject"),
            type=found.get("type"),
            since=datetime.fromisoformat(found["since"]) if "since" in found else None,
            until=datetime.fromisoformat(found["until"]) if "until" in found else None,
            unsent="unsent" in found,
        )

    def arguments(self) -> tuple[object, ...]:
        """Return the parameters of the walks' statements from $3 on."""
        return (self.event_id, self.subject, self.type, self.since, self.until)


@dataclass(frozen=True, slots=True)
class Walk:
    """A range of the outbox: after `after`, up to `until`; by time if it has times.

    It includes every chosen event, and possibly others. `subject` is set if it concerns a single group.
    """

    after: int
    until: int
    after_at: datetime | None = None
    until_at: datetime | None = None
    subject: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the range is empty."""
        return self.after_at is None and self.after >= self.until

    async def count(
        self, connection: Connection, criteria: Criteria, sent_by: datetime, *, most: int
    ) -> tuple[int, bool]:
        """Return how many of the first `most` events in the range are chosen, and whether there may be more."""
        row = await connection.fetchrow(self._made(COUNT, criteria), *self._arguments(criteria, sent_by, most))
        return row["chosen"], row["cut"]

    async def step(self, connection: Connection, criteria: Criteria, sent_by: datetime, *, most: int) -> asyncpg.Record:
        """Replay the chosen ones among the next events; returns the progress."""
        row: asyncpg.Record = await connection.fetchrow(
            self._made(STEP, criteria), *self._arguments(criteria, sent_by, most)
        )
        return row

    def _made(self, statement: str, criteria: Criteria) -> str:
        if self.after_at is not None:
            last = "id) FILTER (WHERE recorded_at = (SELECT max(recorded_at) FROM looked)"
            return statement.format(chosen=CHOSEN, walk=BY_TIME, place=last)
        by_sequence = self.subject is not None and criteria.event_id is None
        return statement.format(chosen=CHOSEN, walk=BY_SEQUENCE if by_sequence else BY_ID, place="place")

    def _arguments(self, criteria: Criteria, sent_by: datetime, most: int) -> tuple[object, ...]:
        times = () if self.after_at is None else (self.after_at, self.until_at)
        chosen_until = None if criteria.unsent else sent_by
        return (self.after, self.until, *criteria.arguments(), chosen_until, most, *times)


async def walk_of(connection: Connection, criteria: Criteria, now: datetime) -> Walk:
    """Return the smallest range with the chosen events recorded until now."""
    if criteria.event_id is not None:
        row = await connection.fetchrow(OF_EVENT, criteria.event_id)
        return Walk(row["id"] - 1, row["id"], subject=row["subject"]) if row else Walk(0, 0)
    if criteria.subject is not None:
        return Walk(0, await connection.fetchval(LAST_OF_GROUP, criteria.subject) or 0, subject=criteria.subject)
    last: int = await connection.fetchval(LAST) or 0
    if criteria.since is None and criteria.until is None:
        return Walk(0, last)
    first: datetime | None = criteria.since or await connection.fetchval(OLDEST)
    return Walk(0, last, first or now, min(criteria.until or now, now))
