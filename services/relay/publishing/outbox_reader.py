"""Reads unsent events: the head of each group in the relay's lanes, and a few events behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from event_trio.database.connections import DATABASE_FAULTS, Pool, acquire, single_statement
from event_trio.database.probe import READ_ONLY, ask
from event_trio.error_text import describe
from event_trio.outbox.limits import DEFAULT_BYTES

from ..group_sql import MAY_BE_READ, NO_FULL_REPLAY, first_held_from
from ..leases.lane_hash import lane_of
from .event_rows import EventRows
from .pending_event import PendingEvent
from .pending_group import NextEventAfter, Position

log = structlog.get_logger(__name__)

# Per read: groups examined in one lane, events of one group, and events in all. These bound the relay's memory (fewer
# events if they may exceed 256 KiB), and no lane or group crowds out the others.
GROUPS = 32
WINDOW = 12
EVENTS = 1000
# While the outbox has more events than a read returns, fewer are read of each group: a batch holds one event of a
# group, so many groups are needed to keep many calls in flight.
NARROW_WINDOW = 2
# So many groups are read by name in one statement.
MOST_GROUPS = 500

NO_OUTBOX = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)

# Events are selected by state, never by "id > last": an id taken early may be committed late. The groups of a lane are
# found by a skip scan through the index of unsent events, from one subject to the next, so a group with a million
# events costs no more than one with a single event, and groups that only wait for confirmation cost nothing. (Published
# events were sent, so the condition omits `published_at`; with it, the planner may choose the other partial index.)
# A read that continues begins with the last group again, or a group with an empty subject would never be found.
# Nothing is read while the outbox is paused, and held groups are skipped.
#
# Parameter 4 is an object of the groups in memory. The value null excludes a group. Any other value is the sequences of
# its first and last event in memory, and only the events behind the last are read: within a group, sequence order is
# commit order. An unsent event in front of these, or an event that goes again, has to be sent first, so the group is
# then not read until it has left the memory. (An object, because it is looked up by a binary search in any plan.)
READ_HEADS = f"""
-- read_heads: unsent events at the head of each group, lane by lane
SELECT groups.lane, groups.ordinal, groups.subject, event.id, event.event_id, event.bytes, event.envelope,
       event.attributes, event.republished, event.sequence
FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS lanes(lane, after, turn)
JOIN outbox_control AS control
  ON control.paused_at IS NULL AND {NO_FULL_REPLAY}
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
CROSS JOIN LATERAL (SELECT $4::jsonb -> groups.subject AS position) AS memory
LEFT JOIN LATERAL (
    SELECT e.id, e.event_id, octet_length(e.envelope) AS bytes,
           CASE WHEN octet_length(e.envelope) <= $7 THEN e.envelope END AS envelope,
           e.attributes, e.republished, e.sequence
    FROM outbox_event e
    WHERE e.lane = groups.lane AND e.subject = groups.subject AND e.sent_at IS NULL AND e.held_at IS NULL
      AND e.sequence > coalesce((memory.position ->> 1)::bigint, 0)
      AND CASE WHEN memory.position IS NULL THEN true WHEN memory.position ->> 0 IS NULL THEN false ELSE (
          SELECT h.sequence > (memory.position ->> 1)::bigint
                 OR (h.sequence >= (memory.position ->> 0)::bigint AND h.republished = 0)
          FROM outbox_event h
          WHERE h.lane = groups.lane AND h.subject = groups.subject AND h.sent_at IS NULL AND h.held_at IS NULL
          ORDER BY h.sequence LIMIT 1
      ) END
      AND groups.subject IS DISTINCT FROM {first_held_from("groups.subject")}
      AND {MAY_BE_READ}
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


def by_name(statement: str) -> str:
    """Return the statement that reads the same events of groups known by name: parameter 2 is the subjects, 3 is 0."""
    search = statement[statement.index("    WITH RECURSIVE hop(") : statement.index(") AS groups\n")]
    named = "    SELECT lanes.lane, lanes.after AS subject, lanes.turn AS ordinal\n"
    return statement.replace(search, named).replace("each group, lane by lane", "each named group")


# No rows are read: a missing table or column, or a missing privilege, fails the statement.
FIND_OUTBOX = f"""
-- find_outbox: fails without the tables or the privileges; returns whether the database is read-only
SELECT {READ_ONLY} WHERE NOT EXISTS (
    SELECT FROM outbox_lane, outbox_event, outbox_control, outbox_replay, outbox_hold, outbox_idempotency_key
    -- the newest column, so that an older outbox is recognized
    WHERE outbox_event.held_behind IS NOT NULL AND false
)
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """The result of one read."""

    events: tuple[PendingEvent, ...]
    exhausted: bool
    """Whether every lane was read to its end, so that another read would find nothing."""
    window: int = WINDOW
    """A group with so many events probably has more."""
    whole: bool = False
    """Whether this one read looked at every lane to its end."""


NO_POSITIONS: Mapping[str, Position] = {}


class OutboxReader:
    """Reads the outbox in rounds: where a read stopped at its bounds, the next one continues."""

    def __init__(self, pool: Pool, next_event_after: NextEventAfter, *, most_bytes: int = DEFAULT_BYTES) -> None:
        """`most_bytes` is the largest event that the topic accepts; the bytes of larger events are not read."""
        self._pool = pool
        self._most_bytes = most_bytes
        self._most_events = min(EVENTS, EVENTS * DEFAULT_BYTES // most_bytes)
        self._statement = self.statement(next_event_after)
        self._statement_by_name = by_name(self._statement)
        self._rows = EventRows(most_bytes)
        self._widest = 1 if next_event_after is NextEventAfter.CONFIRMED else WINDOW
        self._window = self._widest
        self._after: dict[int, str] = {}
        self._first = 0
        self._unseen: set[int] = set()

    @staticmethod
    def statement(next_event_after: NextEventAfter) -> str:
        """Return the statement that reads the next events."""
        return READ_CONFIRMED_HEADS if next_event_after is NextEventAfter.CONFIRMED else READ_HEADS

    async def read(
        self, lanes: Iterable[int], *, excluded: Sequence[str], positions: Mapping[str, Position] = NO_POSITIONS
    ) -> OutboxPage:
        """Read the next events to send in these lanes in one statement.

        Nothing is read of `excluded` groups, and of the groups in `positions` only the events behind their last one.
        """
        order = self._turn(lanes)
        if not order:
            return OutboxPage((), exhausted=True)
        begins = self._begin_round(order)
        window, in_memory = self._window, {**dict.fromkeys(excluded), **positions}
        async with single_statement(self._pool) as connection:
            rows = await connection.fetch(
                self._statement,
                order,
                [self._after.get(lane, "") for lane in order],
                GROUPS,
                json.dumps(in_memory),
                window,
                self._most_events,
                self._most_bytes,
            )
        cut = len(rows) == self._most_events
        self._remember(rows, order, cut=cut)
        self._window = min(self._widest, NARROW_WINDOW if cut else 2 * window)
        events = tuple(self._rows.parse(row) for row in rows if row["id"] is not None)
        exhausted = not self._unseen
        return OutboxPage(events, exhausted=exhausted, window=window, whole=begins and exhausted)

    async def read_groups(
        self,
        subjects: Iterable[str],
        lanes: Iterable[int],
        *,
        excluded: Sequence[str],
        positions: Mapping[str, Position] = NO_POSITIONS,
    ) -> OutboxPage:
        """Read the next events of these groups, at most `MOST_GROUPS`, as far as they are in these lanes."""
        ours, usable = [(lane_of(subject), subject) for subject in subjects], set(lanes)
        named = [(lane, subject) for lane, subject in ours if lane in usable]
        if not named:
            return OutboxPage((), exhausted=True)
        window = max(1, min(self._widest, self._most_events // len(named)))
        async with single_statement(self._pool) as connection:
            rows = await connection.fetch(
                self._statement_by_name,
                [lane for lane, _ in named],
                [subject for _, subject in named],
                0,
                json.dumps({**dict.fromkeys(excluded), **positions}),
                window,
                self._most_events,
                self._most_bytes,
            )
        events = tuple(self._rows.parse(row) for row in rows if row["id"] is not None)
        return OutboxPage(events, exhausted=len(rows) < self._most_events, window=window)

    def _begin_round(self, order: Sequence[int]) -> bool:
        """Begin a round, which reads every lane once in as many reads as needed, if the last one is complete."""
        self._unseen &= set(order)
        begins = not self._unseen
        if begins:
            self._after.clear()
            self._unseen = set(order)
        return begins

    def _turn(self, lanes: Iterable[int]) -> list[int]:
        ordered = sorted(lanes)
        start = next((i for i, lane in enumerate(ordered) if lane >= self._first), 0)
        return ordered[start:] + ordered[:start]

    def _remember(self, rows: Sequence[asyncpg.Record], order: Sequence[int], *, cut: bool) -> None:
        # The lane in which the read stopped is the first of the next read, from where it began; the lanes behind it
        # were not read and keep their positions.
        self._first = rows[-1]["lane"] if cut else 0
        looked_at = order[: order.index(self._first)] if cut else order
        # A lane with more groups than one read examines continues behind the last one; any other begins again.
        ends = {row["lane"]: row["subject"] for row in rows if row["ordinal"] == GROUPS}
        for lane in looked_at:
            self._after.pop(lane, None)
            if lane in ends:
                self._after[lane] = ends[lane]
            else:
                self._unseen.discard(lane)


async def find_outbox(pool: Pool) -> str | None:
    """Return why the outbox cannot be read, or None."""
    try:
        async with acquire(pool) as connection:
            [(read_only,)] = await ask(connection, FIND_OUTBOX)
    except DATABASE_FAULTS as error:
        if not isinstance(error, (*NO_OUTBOX, asyncpg.InsufficientPrivilegeError)):
            log.warning("cannot check the outbox", action="relay.outbox_unavailable", error=describe(error))
        return why_unreadable(error)
    return "the database is read-only" if read_only == "t" else None


def why_unreadable(error: BaseException) -> str:
    """Return why the outbox cannot be read, from the error that the database raised."""
    if isinstance(error, NO_OUTBOX):
        return "the database has no outbox, or an older one; run the migrations of the service that owns it"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "this role may not read the outbox; it needs the grants of the relay's role"
    return "the database cannot be reached or refuses connections"
