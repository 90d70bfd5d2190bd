"""SQL about message groups that several statements share: held groups, and groups that a replay concerns."""

from __future__ import annotations

# The sources of this outbox, usually one: the unique index on (source, subject, sequence) begins with them.
SOURCES = """ARRAY(
    WITH RECURSIVE known(source) AS (
        (SELECT e.source FROM outbox_event e ORDER BY e.source LIMIT 1)
        UNION ALL
        SELECT (SELECT e.source FROM outbox_event e WHERE e.source > known.source ORDER BY e.source LIMIT 1)
        FROM known WHERE known.source IS NOT NULL
    )
    SELECT source FROM known WHERE source IS NOT NULL
)"""

# A group is held if any of its events is held, or if an operator holds it before it has unsent events.
NEXT_HELD = """least(
    (SELECT e.subject FROM outbox_event e WHERE e.held_at IS NOT NULL AND e.subject > {after}
     ORDER BY e.subject LIMIT 1),
    (SELECT h.subject FROM outbox_hold h WHERE h.subject > {after} ORDER BY h.subject LIMIT 1)
)"""

# Parameters: the subject after which to begin, and the most groups to return.
HELD_GROUPS = f"""
WITH RECURSIVE held(subject, turn) AS (
    SELECT {NEXT_HELD.format(after="$1::text")}, 1
    UNION ALL
    SELECT {NEXT_HELD.format(after="held.subject")}, held.turn + 1 FROM held
    WHERE held.turn < $2 AND held.subject IS NOT NULL
)"""  # noqa: S608 - constants only

COUNT_HELD_GROUPS = f"""
-- count_held_groups: held groups, up to a bound{HELD_GROUPS}
SELECT count(held.subject) FROM held
"""  # noqa: S608 - constants only

# Taken by every step that holds or releases events, so that a step which works from an older view of a group does not
# hold what another has just released.
LOCK_HELD_GROUPS = """
-- lock_held_groups: wait until no other step holds or releases events
SELECT FROM outbox_control FOR NO KEY UPDATE
"""

# A read examines at most so many events of a group for one to replay. A group with more waits for the replay to end.
LOOKED_AT = 200

# While everything is replayed, nothing is read.
NO_FULL_REPLAY = """
NOT EXISTS (SELECT FROM outbox_replay r WHERE r.finished_at IS NULL AND r.criteria - 'unsent' = '{}')
""".strip()

# An operator's hold on a group without unsent events; later events of the group are held one by one.
HELD_BY_OPERATOR = """
EXISTS (SELECT FROM outbox_hold h WHERE h.subject = groups.subject)
"""

# While a replay still has events of a group to return, nothing of the group is read, so that they are sent first. The
# first subquery, whether any replay is unfinished, is evaluated once for the whole read.
CONCERNED_BY_REPLAY = f"""
(SELECT EXISTS (SELECT FROM outbox_replay r WHERE r.finished_at IS NULL)) AND EXISTS (
    SELECT FROM outbox_replay r WHERE r.finished_at IS NULL AND CASE
        WHEN r.subject IS NOT NULL THEN r.subject = groups.subject
        ELSE (
            SELECT count(*) >= {LOOKED_AT} OR coalesce(bool_or(
                past.id <= r.until_id AND past.sent_at <= r.requested_at AND CASE
                    WHEN r.after_at IS NULL THEN past.id > r.after_id
                    ELSE (past.recorded_at, past.id) > (r.after_at, r.after_id) END
                AND coalesce(past.event_id = (r.criteria ->> 'event_id')::uuid, true)
                AND coalesce(past.subject = r.criteria ->> 'subject', true)
                AND (r.criteria ->> 'type' IS NULL
                     OR past.attributes ->> 'type' = ANY (string_to_array(r.criteria ->> 'type', ',')))
                AND coalesce(past.recorded_at >= (r.criteria ->> 'since')::timestamptz, true)
                AND coalesce(past.recorded_at < (r.criteria ->> 'until')::timestamptz, true)
            ), false)
            FROM unnest({SOURCES}) AS sources(source) CROSS JOIN LATERAL (
                SELECT e.* FROM outbox_event e WHERE e.source = sources.source AND e.subject = groups.subject
                ORDER BY e.sequence DESC LIMIT {LOOKED_AT}
            ) AS past
        )
    END
)
"""  # noqa: S608 - constants only

# Both conditions for a group that a read has found. Each must cost the same whatever the size of the table.
MAY_BE_READ = f"NOT ({HELD_BY_OPERATOR.strip()}) AND NOT ({CONCERNED_BY_REPLAY.strip()})"


def first_held_from(subject: str) -> str:
    """Return a subquery for the first group with a held event at or after `subject`; a held group finds itself.

    Compared with `=` instead, a planner that sees most rows held in one group reads the whole table.
    """
    return f"""(
          SELECT h.subject FROM outbox_event h WHERE h.held_at IS NOT NULL AND h.subject >= {subject}
          ORDER BY h.subject, h.sequence LIMIT 1
      )"""  # noqa: S608 - constants only
