"""The tables of the inbox, as statements that migrations run.

Each version of the inbox is a tuple that a migration of the service runs; a tuple never changes once it was released.
"""

from __future__ import annotations

STATEMENTS_V1: tuple[str, ...] = (
    # One row for every event that a consumer has processed, in one transaction with the effects. The key is
    # the event's id from the body (or SQS's message id where the body is unreadable): redrives and queue moves change
    # SQS's own ids.
    """
    CREATE TABLE processed_message (
        consumer text NOT NULL,
        event_id text NOT NULL,
        message_id text NOT NULL,
        source text,
        subject text,
        sequence bigint,
        type text,
        time timestamptz,
        processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        outcome text NOT NULL,
        PRIMARY KEY (consumer, event_id)
    ) WITH (
        autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 10000,
        autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 10000
    )
    """,
    # Answers "was a later event of this subject handled?", and lists what was processed of a subject.
    "CREATE INDEX processed_message_order ON processed_message (consumer, subject, source, sequence)",
    # Lists the newest first, and finds what is old enough to be pruned.
    "CREATE INDEX processed_message_age ON processed_message (consumer, processed_at)",
    # The foreign key keeps the inbox row of an unresolved message from being pruned: without it a redrive could
    # run an event twice.
    """
    CREATE TABLE deferred_message (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        event_id text NOT NULL,
        message_id text NOT NULL,
        message_group text NOT NULL,
        source text,
        subject text,
        sequence bigint,
        type text,
        status text NOT NULL CHECK (status IN ('waiting', 'behind', 'dead')),
        due_at timestamptz CHECK ((status = 'waiting') = (due_at IS NOT NULL)),
        reason text NOT NULL,
        error text,
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        envelope bytea NOT NULL,
        attributes jsonb NOT NULL DEFAULT '{}',
        deferred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (consumer, event_id),
        FOREIGN KEY (consumer, event_id) REFERENCES processed_message (consumer, event_id)
    )
    """,
    """
    CREATE INDEX deferred_message_group ON deferred_message (consumer, message_group, id)
    WHERE status IN ('waiting', 'behind')
    """,
    "CREATE INDEX deferred_message_due ON deferred_message (consumer, due_at) WHERE status = 'waiting'",
    "CREATE INDEX deferred_message_dead ON deferred_message (consumer, id) WHERE status = 'dead'",
    # Attempts of messages that were delivered several times before. A row that remains means that the process ended
    # while it handled the message.
    """
    CREATE TABLE started_message (
        consumer text NOT NULL,
        event_id text NOT NULL,
        starts integer NOT NULL DEFAULT 1,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (consumer, event_id)
    )
    """,
)

STATEMENTS_V2: tuple[str, ...] = (
    # Whether later messages of its group wait for it. That a group is blocked is derived from these rows alone.
    "ALTER TABLE deferred_message ADD COLUMN blocks boolean NOT NULL DEFAULT false",
    # Its lease, by the database's clock; starts without an outcome mean that processes ended while they handled it.
    "ALTER TABLE deferred_message ADD COLUMN taken_until timestamptz",
    "ALTER TABLE deferred_message ADD COLUMN starts integer NOT NULL DEFAULT 0 CHECK (starts >= 0)",
    "UPDATE deferred_message SET blocks = true WHERE status <> 'dead'",
    "DROP INDEX deferred_message_group",
    """
    CREATE INDEX deferred_message_group ON deferred_message (consumer, message_group, id)
    WHERE blocks OR status = 'waiting'
    """,
    # What an operator did with a dead letter; it outlives the message, so it has no foreign key.
    """
    CREATE TABLE operator_action (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        event_id text NOT NULL,
        message_group text NOT NULL,
        type text,
        action text NOT NULL CHECK (action IN ('redrive', 'discard')),
        reason text NOT NULL,
        actor text NOT NULL,
        attempts integer NOT NULL,
        done_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX operator_action_event ON operator_action (consumer, event_id, id)",
)

STATEMENTS_V3: tuple[str, ...] = (
    # Answers "was a later event of this subject handled?" without reading each that was only deferred.
    "CREATE INDEX processed_message_latest ON processed_message (consumer, subject, source, outcome, sequence)",
    "DROP INDEX processed_message_order",
    # Answers "does an earlier message of this group still block it?" without reading each of them.
    """
    CREATE INDEX deferred_message_blockers ON deferred_message (consumer, message_group)
    WHERE blocks AND status <> 'behind'
    """,
    # A long group that was completed leaves dead tuples where the next one is searched.
    """
    ALTER TABLE deferred_message SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)
    """,
    # Operators also run deferred messages.
    "ALTER TABLE operator_action DROP CONSTRAINT operator_action_action_check",
    """
    ALTER TABLE operator_action ADD CONSTRAINT operator_action_action_check
    CHECK (action IN ('redrive', 'discard', 'run_now'))
    """,
    # Lists deferred messages, and finds them step by step.
    "CREATE INDEX deferred_message_pending ON deferred_message (consumer, id) WHERE status <> 'dead'",
)

STATEMENTS_V4: tuple[str, ...] = (
    # A message that waits for an earlier one of its group is blocked.
    "ALTER TABLE deferred_message DROP CONSTRAINT deferred_message_status_check",
    "UPDATE deferred_message SET status = 'blocked' WHERE status = 'behind'",
    "UPDATE deferred_message SET reason = 'blocked' WHERE reason = 'behind'",
    "UPDATE deferred_message SET reason = 'dependency_unavailable' WHERE reason = 'outage'",
    """
    ALTER TABLE deferred_message ADD CONSTRAINT deferred_message_status_check
    CHECK (status IN ('waiting', 'blocked', 'dead'))
    """,
    "DROP INDEX deferred_message_blockers",
    """
    CREATE INDEX deferred_message_blockers ON deferred_message (consumer, message_group)
    WHERE blocks AND status <> 'blocked'
    """,
)

STATEMENTS_V5: tuple[str, ...] = (
    # Messages that failed alike have the same fingerprint: words with digits (ids, times, amounts) are left out of the
    # error, but for a code at the start of a parenthesis, such as an SQLSTATE.
    r"""
    ALTER TABLE deferred_message ADD COLUMN fingerprint text GENERATED ALWAYS AS (
        left(md5(
            coalesce(type, '') || ' ' || reason || ' '
            || regexp_replace(left(coalesce(error, ''), 500), '(?<![(\w])[\w.-]*\d[\w.-]*', '#', 'g')
        ), 16)
    ) STORED
    """,
    "CREATE INDEX deferred_message_fingerprint ON deferred_message (consumer, fingerprint, id)",
    # A redrive of any number of dead letters, carried out in steps; it outlives its process.
    """
    CREATE TABLE redrive (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        selection jsonb NOT NULL,
        per_second double precision CHECK (per_second > 0),
        requested_by text NOT NULL,
        reason text NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        chosen integer NOT NULL,
        until_id bigint NOT NULL,
        after_id bigint NOT NULL DEFAULT 0,
        redriven integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        stopped_at timestamptz,
        stopped_by text,
        stopped_reason text
    )
    """,
    "CREATE INDEX redrive_unfinished ON redrive (consumer, next_at) WHERE finished_at IS NULL",
    # Which redrive took the message last: those that it left tell how far it is.
    "ALTER TABLE deferred_message ADD COLUMN redrive_id bigint",
    "CREATE INDEX deferred_message_redrive ON deferred_message (redrive_id) WHERE redrive_id IS NOT NULL",
    # Operators also see the personal data of an event.
    "ALTER TABLE operator_action DROP CONSTRAINT operator_action_action_check",
    """
    ALTER TABLE operator_action ADD CONSTRAINT operator_action_action_check
    CHECK (action IN ('redrive', 'discard', 'run_now', 'reveal'))
    """,
)

STATEMENTS_V6: tuple[str, ...] = (
    # ANALYZE reads a sample of 30,000 rows, whatever the size of the table: in a large one it is due less often.
    "ALTER TABLE processed_message SET (autovacuum_analyze_scale_factor = 0.05)",
)


def grants(role: str) -> tuple[str, ...]:
    """The statements that let the role of a service consume."""
    return (
        f"GRANT SELECT, INSERT ON processed_message, deferred_message TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON started_message TO {role}",
    )


def grants_v2(role: str) -> tuple[str, ...]:
    """The grants of the second version: deferred messages are completed, and old inbox rows are pruned."""
    return (
        f"GRANT UPDATE (outcome, processed_at), DELETE ON processed_message TO {role}",
        f"GRANT UPDATE, DELETE ON deferred_message TO {role}",
        f"GRANT SELECT, INSERT ON operator_action TO {role}",
    )


def grants_v3(role: str) -> tuple[str, ...]:
    """The grants of the third version: none."""
    return ()


def grants_v5(role: str) -> tuple[str, ...]:
    """The grants of the fifth version: redrives are requested, carried out and stopped."""
    columns = "after_id, redriven, next_at, finished_at, stopped_at, stopped_by, stopped_reason"
    return (f"GRANT SELECT, INSERT, UPDATE ({columns}) ON redrive TO {role}",)
