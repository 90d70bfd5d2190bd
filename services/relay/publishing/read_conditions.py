"""What keeps a group from being read, as conditions of the statement that reads: holds and replays.

Both are asked once for each group that a read meets, so they must cost the same whatever the table holds.
"""

from __future__ import annotations

# A group of which so many events were looked at, and none was to go again, waits for the replay all the same: it may
# have others, and looking at all of them for each read would cost more than the wait.
LOOKED_AT = 200

# The sources that record into this outbox, mostly one: the index of sequences begins with them.
SOURCES = """ARRAY(
    WITH RECURSIVE known(source) AS (
        (SELECT e.source FROM outbox_event e ORDER BY e.source LIMIT 1)
        UNION ALL
        SELECT (SELECT e.source FROM outbox_event e WHERE e.source > known.source ORDER BY e.source LIMIT 1)
        FROM known WHERE known.source IS NOT NULL
    )
    SELECT source FROM known WHERE source IS NOT NULL
)"""

# When all that was sent goes again, everything waits.
NOT_ALL_GOES_AGAIN = """
NOT EXISTS (SELECT FROM outbox_replay r WHERE r.finished_at IS NULL AND r.criteria - 'unsent' = '{}')
""".strip()

# What an operator holds before anything of it waits. Once something does, it is held itself.
HELD_AHEAD = """
EXISTS (SELECT FROM outbox_hold h WHERE h.subject = groups.subject)
"""

# As long as a replay has events of a group still before it, nothing of the group goes: then what goes again is sent
# first. Groups that the replay does not concern go on. That no replay is unfinished is asked once for the whole read.
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

# The same as one condition, for a group that a read has found.
MAY_GO = f"NOT ({HELD_AHEAD.strip()}) AND NOT ({CONCERNED_BY_REPLAY.strip()})"
