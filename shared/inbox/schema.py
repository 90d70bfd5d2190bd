"""The inbox in the database, as statements that a service's first migration runs.

A later version of the inbox adds a tuple (`STATEMENTS_V2`) that a service's next migration runs; these never change.
"""

from __future__ import annotations

STATEMENTS_V1: tuple[str, ...] = (
    # One row for every event that a consumer is done with, in one transaction with what it did about it. The key is
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
    # Marks of messages that are being handled although they were delivered several times before: a mark that is left
    # behind tells that the process died over its message.
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


def grants(role: str) -> tuple[str, ...]:
    """The statements that let the role of a service consume: inbox rows are written once, never changed."""
    return (
        f"GRANT SELECT, INSERT ON processed_message, deferred_message TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON started_message TO {role}",
    )
