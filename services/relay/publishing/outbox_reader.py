"""Reads what is to be sent: from each group in our lanes its head and a few events behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, acquire, transaction
from event_trio.database.probe import READ_ONLY, ask
from event_trio.error_text import describe
from event_trio.errors import EventRejected
from event_trio.outbox.limits import DEFAULT_BYTES, check, size

from .backlog import NextEventAfter, PendingEvent
from .read_conditions import MAY_GO, NOT_ALL_GOES_AGAIN

log = structlog.get_logger(__name__)

# Groups looked at in one lane, events taken of one group, and events taken in all by one read. Together they bound
# the relay's memory (fewer events where they may be larger than 256 KiB), and no lane or group crowds out the others.
GROUPS = 32
WINDOW = 12
EVENTS = 1000

NO_OUTBOX = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)

# By state, never by "id > last": a number that was taken early may be committed late. The groups of a lane are found by
# hopping through the index from one subject to the next, so a group with a million events costs no more than one with a
# single event; and through the index of what is not sent, so groups that only wait for their confirmation cost nothing.
# (Whatever is published was sent, so that is not asked; asked for, the other index would do as well, and does not.)
# Where a read goes on it looks at the last group again, or one without a name would never be found.
# Nothing is read while all is paused, and a group of which any event is held is passed by: it is then the
# first held one at or behind itself in the index. (Asked for with `=`, a planner that sees most rows held in one group
# reads the whole table.)
READ_HEADS = f"""
-- read_heads: the unsent events at the head of each group, lane by lane
SELECT groups.lane, groups.ordinal, groups.subject, event.id, event.event_id, event.bytes, event.envelope,
       event.attributes, event.republished
FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS lanes(lane, after, turn)
JOIN outbox_control AS control
  ON control.paused_at IS NULL AND {NOT_ALL_GOES_AGAIN}
CROSS JOIN LATERAL (
    WITH RECURSIVE hop(subject, ordinal) AS (
        (SELECT e.subject, CASE WHEN lanes.after = '' THEN 1 ELSE 0 END FROM outbox_event e
         WHERE e.lane = lanes.lane AND e.sent_at IS NULL AND e.held_at IS NULL AND e.subject >= lanes.after
         ORDER BY e.subject LIMIT 1)
        UNION ALL
        SELECT next.subject, hop.ordinal + 1
        FROM hop CROSS JOIN LATERAL (
            SELECT e.subject FROM outbox_event e
            WHERE e.lane = lanes.lane AND e.sent_at IS NULL AND e.held_at IS NULL AND e.subject > hop.subject
            ORDER BY e.subject LIMIT 1
        ) AS next
        WHERE hop.ordinal < $3
    )
    SELECT lanes.lane, hop.subject, hop.ordinal FROM hop
) AS groups
LEFT JOIN LATERAL (
    SELECT e.id, e.event_id, octet_length(e.envelope) AS bytes,
           CASE WHEN octet_length(e.envelope) <= $7 THEN e.envelope END AS envelope,
           e.attributes, e.republished
    FROM outbox_event e
    WHERE e.lane = groups.lane AND e.subject = groups.subject AND e.sent_at IS NULL AND e.held_at IS NULL
      AND groups.subject <> ALL ($4::text[])
      AND groups.subject IS DISTINCT FROM (
          SELECT held.subject FROM outbox_event held
          WHERE held.held_at IS NOT NULL AND held.subject >= groups.subject
          ORDER BY held.subject, held.sequence LIMIT 1
      )
      AND {MAY_GO}
    ORDER BY e.sequence
    LIMIT $5
) AS event ON true
WHERE event.id IS NOT NULL OR groups.ordinal = $3
LIMIT $6
"""  # noqa: S608 - constants only

# With `NEXT_EVENT_AFTER=confirmed` only the first unpublished event of a group is read, and only if it is unsent.
READ_CONFIRMED_HEADS = READ_HEADS.replace(
    "e.subject = groups.subject AND e.sent_at IS NULL", "e.subject = groups.subject AND e.published_at IS NULL"
).replace("SELECT e.id, e.event_id,", "SELECT CASE WHEN e.sent_at IS NULL THEN e.id END AS id, e.event_id,")


# Nothing of the tables is read, however large they are: that they are named is enough to be refused.
FIND_OUTBOX = f"""
-- find_outbox: whether the tables are there and may be read, and whether the database takes changes
SELECT {READ_ONLY} WHERE NOT EXISTS (
    SELECT FROM outbox_lane, outbox_event, outbox_control, outbox_replay, outbox_hold, outbox_idempotency_key
    WHERE false
)
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """What one read found."""

    events: tuple[PendingEvent, ...]
    exhausted: bool
    """Whether every lane was looked through to its end by now, so that a read right after this one finds nothing."""


class OutboxReader:
    """Reads the outbox in turns: where a read was cut short, the next one goes on."""

    def __init__(self, pool: Pool, next_event_after: NextEventAfter, *, most_bytes: int = DEFAULT_BYTES) -> None:
        """`most_bytes` is the largest event that the topic takes; what is larger is not even read."""
        self._pool = pool
        self._most_bytes = most_bytes
        self._most_events = min(EVENTS, EVENTS * DEFAULT_BYTES // most_bytes)
        self._statement = self.statement(next_event_after)
        self._window = 1 if next_event_after is NextEventAfter.CONFIRMED else WINDOW
        self._after: dict[int, str] = {}
        self._first = 0
        self._unseen: set[int] = set()

    @staticmethod
    def statement(next_event_after: NextEventAfter) -> str:
        """The statement that finds what may go next."""
        return READ_CONFIRMED_HEADS if next_event_after is NextEventAfter.CONFIRMED else READ_HEADS

    async def read(self, lanes: Iterable[int], *, excluded: Sequence[str]) -> OutboxPage:
        """The next events to send in these lanes, without the groups that are `excluded`. One statement."""
        order = self._turn(lanes)
        if not order:
            return OutboxPage((), exhausted=True)
        self._begin_round(order)
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(
                self._statement,
                order,
                [self._after.get(lane, "") for lane in order],
                GROUPS,
                list(excluded),
                self._window,
                self._most_events,
                self._most_bytes,
            )
        cut = len(rows) == self._most_events
        self._remember(rows, order, cut=cut)
        events = tuple(_event(row, self._most_bytes) for row in rows if row["id"] is not None)
        return OutboxPage(events, exhausted=not self._unseen)

    def _begin_round(self, order: Sequence[int]) -> None:
        """A round looks through every lane once, in as many reads as it takes; a new one begins at every beginning."""
        self._unseen &= set(order)
        if not self._unseen:
            self._after.clear()
            self._unseen = set(order)

    def _turn(self, lanes: Iterable[int]) -> list[int]:
        ordered = sorted(lanes)
        start = next((i for i, lane in enumerate(ordered) if lane >= self._first), 0)
        return ordered[start:] + ordered[:start]

    def _remember(self, rows: Sequence[asyncpg.Record], order: Sequence[int], *, cut: bool) -> None:
        # The lane in which the read was cut short has the first turn of the next, from where it was begun; the lanes
        # behind it were not looked at and keep their place.
        self._first = rows[-1]["lane"] if cut else 0
        looked_at = order[: order.index(self._first)] if cut else order
        # A lane that has more groups than one read looks at is continued behind the last; any other starts anew.
        ends = {row["lane"]: row["subject"] for row in rows if row["ordinal"] == GROUPS}
        for lane in looked_at:
            self._after.pop(lane, None)
            if lane in ends:
                self._after[lane] = ends[lane]
            else:
                self._unseen.discard(lane)


async def find_outbox(pool: Pool) -> str | None:
    """What keeps the outbox from being read, or None."""
    try:
        async with acquire(pool) as connection:
            [(read_only,)] = await ask(connection, FIND_OUTBOX)
    except DATABASE_FAULTS as error:
        if not isinstance(error, (*NO_OUTBOX, asyncpg.InsufficientPrivilegeError)):
            log.warning("the outbox cannot be looked at", action="relay.outbox_unavailable", error=describe(error))
        return why_unreadable(error)
    return "the database is read-only" if read_only == "t" else None


def why_unreadable(error: BaseException) -> str:
    """What keeps the outbox from being read, by what the database raised: the same sentence wherever it was met."""
    if isinstance(error, NO_OUTBOX):
        return "the database has no outbox, or an older one; run the migrations of the service that owns it"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "this role may not read the outbox; it needs the grants of the relay's role"
    return "the database cannot be reached or refuses connections"


def _event(row: asyncpg.Record, most_bytes: int) -> PendingEvent:
    """The row as an event; whatever is wrong with it is its own fault, and no other row's."""
    attributes: dict[str, str] = {}
    body: bytes = row["envelope"] or b""
    fault: str | None = None
    try:
        if row["bytes"] > most_bytes:
            raise EventRejected(f"the event is {row['bytes']} bytes; the topic takes {most_bytes} (MESSAGE_BYTES)")
        read = json.loads(row["attributes"])
        check(body, group=row["subject"], attributes=read, most=most_bytes)
        attributes = read
    except EventRejected as error:
        fault = str(error)
    except (ValueError, RecursionError) as error:
        # JSON that Postgres takes and Python does not: a number of ten thousand digits, or a list ten thousand deep.
        fault = f"the attributes cannot be read: {error}"
    return PendingEvent(
        id=row["id"],
        event_id=str(row["event_id"]),
        subject=row["subject"],
        lane=row["lane"],
        body=b"" if fault else body,
        attributes=attributes,
        size=0 if fault else size(body, attributes),
        republished=row["republished"],
        fault=fault,
    )
