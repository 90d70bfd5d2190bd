"""Finds sent and unconfirmed events, and proof of their loss, in bounded steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from event_trio.database.connections import Pool, transaction

from ..group_sql import first_held_from

# Groups examined in one statement, events of one group, and events returned.
GROUPS = 500
RUN = 200
STEP = 1000
# Events of a group examined for the first sent one; events before it were returned and are sent first.
FIRST = 4
# Events between two unpublished ones that are examined for a published one; the others there are held.
BETWEEN = 50
WALK_FROM = (-1, "")
LAST = 2**63 - 1

# Groups are found by a skip scan through the index of unpublished events, so neither published events nor the long tail
# of a group cost anything.
HEADS = f"""
-- heads: the first sent and unconfirmed event of each of the next groups with unpublished events
WITH RECURSIVE hop(lane, subject, turn) AS (
    (SELECT e.lane, e.subject, 1 FROM outbox_event e
     WHERE (e.lane, e.subject) > ($1::smallint, $2::text) AND e.published_at IS NULL AND e.held_at IS NULL
     ORDER BY e.lane, e.subject LIMIT 1)
    UNION ALL
    SELECT next.lane, next.subject, hop.turn + 1
    FROM hop CROSS JOIN LATERAL (
        SELECT e.lane, e.subject FROM outbox_event e
        WHERE (e.lane, e.subject) > (hop.lane, hop.subject) AND e.published_at IS NULL AND e.held_at IS NULL
        ORDER BY e.lane, e.subject LIMIT 1
    ) AS next
    WHERE hop.turn < $3
)
SELECT hop.turn, hop.lane, hop.subject, head.source, head.sequence, head.event_id, head.sent_at,
       extract(epoch FROM clock_timestamp() - head.sent_at)::float8 AS age
FROM hop LEFT JOIN LATERAL (
    SELECT first.* FROM (
        SELECT e.source, e.sequence, e.event_id, e.sent_at FROM outbox_event e
        WHERE e.lane = hop.lane AND e.subject = hop.subject AND e.published_at IS NULL AND e.held_at IS NULL
        ORDER BY e.sequence LIMIT {FIRST}
    ) AS first
    WHERE first.sent_at IS NOT NULL ORDER BY first.sequence LIMIT 1
) AS head ON true
WHERE head.sent_at IS NOT NULL OR hop.turn = $3
"""  # noqa: S608 - constants only

# FIFO delivers the events of a group in the order of sending. If an event is confirmed that was sent later, unconfirmed
# events before it are lost. Confirmed events are searched only in the gaps between two unpublished events and behind
# the last one, newest first.
EVIDENCE = f"""
-- evidence: what is confirmed of these groups before and after their first unconfirmed event
SELECT g.turn, run.looked, run.last, run.last_sent, run.proof, run.proven,
       g.subject IS NOT DISTINCT FROM {first_held_from("g.subject")} AS held,
       extract(epoch FROM clock_timestamp() - before.published_at)::float8 AS moved
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::bigint[])
     WITH ORDINALITY AS g(lane, subject, source, sequence, turn)
LEFT JOIN LATERAL (
    SELECT e.published_at FROM outbox_event e
    WHERE e.source = g.source AND e.subject = g.subject AND e.sequence < g.sequence
    ORDER BY e.sequence DESC LIMIT 1
) AS before ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS looked, max(seen.sequence) AS last, max(seen.sent_at) AS last_sent, max(seen.proof) AS proof,
           (array_agg(seen.sequence ORDER BY seen.proof DESC NULLS LAST, seen.sequence DESC))[1] AS proven
    FROM (
        SELECT r.sequence, r.sent_at, CASE WHEN r.next > r.sequence + 1 THEN (
            SELECT max(between_.sent_at) FROM (
                SELECT e.sent_at, e.published_at FROM outbox_event e
                WHERE e.source = g.source AND e.subject = g.subject
                  AND e.sequence > r.sequence AND e.sequence < r.next
                ORDER BY e.sequence DESC LIMIT {BETWEEN}
            ) AS between_ WHERE between_.published_at IS NOT NULL
        ) END AS proof
        FROM (
            SELECT e.sequence, e.sent_at, lead(e.sequence, 1, {LAST}) OVER (ORDER BY e.sequence) AS next
            FROM (
                SELECT o.sequence, o.sent_at FROM outbox_event o
                WHERE o.lane = g.lane AND o.subject = g.subject AND o.published_at IS NULL AND o.held_at IS NULL
                  AND o.sequence >= g.sequence AND o.source = g.source
                ORDER BY o.sequence LIMIT {RUN}
            ) AS e
        ) AS r
    ) AS seen
) AS run
"""  # noqa: S608 - constants only

# Rows are locked in the order of their ids, as in all updates of several rows.
RETURN = f"""
-- return: send these events again, unless they were confirmed or sent again meanwhile
WITH found AS (
    SELECT o.id, g.sent_until
    FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[])
         AS g(lane, subject, first, last, sent_until)
    CROSS JOIN LATERAL (
        SELECT e.id FROM outbox_event e
        WHERE e.lane = g.lane AND e.subject = g.subject AND e.published_at IS NULL AND e.held_at IS NULL
          AND e.sequence >= g.first AND e.sequence <= g.last AND e.sent_at <= g.sent_until
          AND e.sent_at < clock_timestamp() - $6::float8 * interval '1 second'
        ORDER BY e.sequence LIMIT {STEP}
    ) AS o
    LIMIT {STEP}
), locked AS (
    SELECT e.id FROM outbox_event e JOIN found USING (id)
    WHERE e.published_at IS NULL AND e.held_at IS NULL AND e.sent_at <= found.sent_until
    ORDER BY e.id FOR NO KEY UPDATE OF e
)
UPDATE outbox_event e SET first_sent_at = coalesce(e.first_sent_at, e.sent_at), sent_at = NULL,
    broker_message_id = NULL, republished = e.republished + 1, attempts = 0
FROM locked WHERE e.id = locked.id
RETURNING e.event_id
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class UnconfirmedHead:
    """The first sent and unconfirmed event of its group, sent `age` seconds ago."""

    lane: int
    subject: str
    source: str
    sequence: int
    event_id: UUID
    sent_at: datetime
    age: float


@dataclass(frozen=True, slots=True)
class UnconfirmedPage:
    """One step of a walk over all groups: the heads found, and where the next step begins, if there is one."""

    found: tuple[UnconfirmedHead, ...]
    next: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class LossEvidence:
    """Evidence about a group from its first unconfirmed event on.

    The run examined ends with `last`. Events up to `proven` that were sent until `proof` are lost, if there are any.
    `moved` is how many seconds ago the event before the first was confirmed.
    """

    looked: int
    last: int
    last_sent: datetime | None
    proof: datetime | None
    proven: int
    held: bool
    moved: float | None

    @property
    def goes_on(self) -> bool:
        """Whether the group has more unpublished events than were examined."""
        return self.looked == RUN


@dataclass(frozen=True, slots=True)
class EventRange:
    """Events of a group: by sequence, and by the latest time of sending."""

    head: UnconfirmedHead
    first: int
    last: int
    sent_until: datetime


class Unconfirmed:
    """The queries of the sweeper. Every call is one short transaction and may raise what the database raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def heads(self, after: tuple[int, str]) -> UnconfirmedPage:
        """Return the heads of the next groups after that lane and subject."""
        lane, subject = after
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(HEADS, lane, subject, GROUPS)
        found = tuple(
            UnconfirmedHead(r["lane"], r["subject"], r["source"], r["sequence"], r["event_id"], r["sent_at"], r["age"])
            for r in rows
            if r["sent_at"] is not None
        )
        at_last = next(((r["lane"], r["subject"]) for r in rows if r["turn"] == GROUPS), None)
        return UnconfirmedPage(found, at_last)

    async def evidence(
        self, heads: Sequence[UnconfirmedHead], starts: Sequence[int] | None = None
    ) -> list[LossEvidence]:
        """Return what is confirmed of these groups, from the head or from a later sequence."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                EVIDENCE,
                [head.lane for head in heads],
                [head.subject for head in heads],
                [head.source for head in heads],
                list(starts) if starts is not None else [head.sequence for head in heads],
            )
        by_turn = {row["turn"]: row for row in rows}
        names = ("looked", "last", "last_sent", "proof", "proven", "held", "moved")
        return [LossEvidence(**{name: by_turn[turn][name] for name in names}) for turn in range(1, len(heads) + 1)]

    async def give_back(self, ranges: Sequence[EventRange], *, lost_after: float) -> list[UUID]:
        """Return up to `STEP` of these events, sent more than `lost_after` seconds ago, to their lanes."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                RETURN,
                [r.head.lane for r in ranges],
                [r.head.subject for r in ranges],
                [r.first for r in ranges],
                [r.last for r in ranges],
                [r.sent_until for r in ranges],
                lost_after,
            )
        return [row["event_id"] for row in rows]
