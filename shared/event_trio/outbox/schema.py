"""The schema of the outbox, as statements that migrations of a service run.

Each version of the outbox is a tuple of statements, which never changes once it was released.
"""

from __future__ import annotations

from ..idempotency import schema as idempotency

# Must never change: with another number of lanes a group would be in two of them, and out of order.
LANES = 64

STATEMENTS_V1: tuple[str, ...] = (
    f"""
    CREATE TABLE outbox_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id uuid NOT NULL UNIQUE,
        source text NOT NULL,
        subject text NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        lane smallint NOT NULL GENERATED ALWAYS AS (get_byte(decode(md5(subject), 'hex'), 0) % {LANES}) STORED,
        envelope bytea NOT NULL,
        attributes jsonb NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0,
        sent_at timestamptz,
        broker_message_id text,
        published_at timestamptz,
        republished integer NOT NULL DEFAULT 0,
        held_at timestamptz,
        held_reason text,
        last_error text,
        UNIQUE (source, subject, sequence)
    ) WITH (
        fillfactor = 70,
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 10000,
        autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    # Pending events: an event leaves this index when it is published or held.
    """
    CREATE INDEX outbox_event_pending ON outbox_event (lane, subject, sequence)
    WHERE published_at IS NULL AND held_at IS NULL
    """,
    # Held events. A group is held if any of its events is.
    """
    CREATE INDEX outbox_event_held ON outbox_event (subject, sequence) WHERE held_at IS NOT NULL
    """,
    """
    CREATE TABLE outbox_lane (
        lane smallint PRIMARY KEY,
        owner uuid,
        token bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)
    """,
    f"INSERT INTO outbox_lane (lane) SELECT generate_series(0, {LANES - 1})",
    """
    CREATE TABLE outbox_relay (
        relay_id uuid PRIMARY KEY,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (fillfactor = 50)
    """,
    # One row of state that all relays of this outbox share.
    """
    CREATE TABLE outbox_control (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        paused_at timestamptz,
        paused_by text,
        paused_reason text,
        broker text
    )
    """,
    "INSERT INTO outbox_control DEFAULT VALUES",
    # Replays. While one is unfinished, the groups that it concerns are not read, so that replayed events come first.
    """
    CREATE TABLE outbox_replay (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        requested_by text NOT NULL,
        reason text NOT NULL,
        criteria jsonb NOT NULL,
        after_id bigint NOT NULL DEFAULT 0,
        until_id bigint NOT NULL,
        replayed bigint NOT NULL DEFAULT 0,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX outbox_replay_unfinished ON outbox_replay (id) WHERE finished_at IS NULL",
    # Groups that an operator released. A relay releases them in steps; meanwhile no step holds them again.
    """
    CREATE TABLE outbox_release (
        subject text PRIMARY KEY,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        requested_by text NOT NULL
    )
    """,
    """
    CREATE TABLE outbox_audit (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        actor text NOT NULL,
        action text NOT NULL,
        reason text NOT NULL,
        subject text,
        event_id uuid,
        details jsonb NOT NULL DEFAULT '{}'
    )
    """,
    "CREATE INDEX outbox_audit_subject ON outbox_audit (subject, id) WHERE subject IS NOT NULL",
    "CREATE INDEX outbox_audit_event ON outbox_audit (event_id, id) WHERE event_id IS NOT NULL",
)

KEYS = "outbox_idempotency_key"
"""The table of idempotency keys of operators' requests; the relay has no access to the service's own table."""

STATEMENTS_V2: tuple[str, ...] = idempotency.statements(KEYS)

STATEMENTS_V3: tuple[str, ...] = (
    # Groups are ordered by bytes, which no upgrade of the C library changes. The lane is recreated, because a column
    # from which another is generated cannot be altered. A replayed event keeps the times when it was first sent.
    f"""
    ALTER TABLE outbox_event
        DROP COLUMN lane,
        ALTER COLUMN source TYPE text COLLATE "C",
        ALTER COLUMN subject TYPE text COLLATE "C",
        ADD COLUMN lane smallint NOT NULL
            GENERATED ALWAYS AS (get_byte(decode(md5(subject), 'hex'), 0) % {LANES}) STORED,
        ADD COLUMN first_sent_at timestamptz,
        ADD COLUMN first_published_at timestamptz
    """,
    """
    CREATE INDEX outbox_event_pending ON outbox_event (lane, subject, sequence)
    WHERE published_at IS NULL AND held_at IS NULL
    """,
    # The oldest pending events, for metrics. It changes with the index above, so it costs no heap-only update. Every
    # id is above 0: only a statement with this condition can be planned with this index.
    """
    CREATE INDEX outbox_event_oldest ON outbox_event (recorded_at)
    WHERE published_at IS NULL AND held_at IS NULL AND id > 0
    """,
    # For replays of a period.
    "CREATE INDEX outbox_event_recorded ON outbox_event (recorded_at, id)",
    'ALTER TABLE outbox_release ALTER COLUMN subject TYPE text COLLATE "C"',
    'ALTER TABLE outbox_audit ALTER COLUMN subject TYPE text COLLATE "C"',
    f"""
    ALTER TABLE {KEYS}
        ALTER COLUMN principal TYPE text COLLATE "C",
        ALTER COLUMN key TYPE text COLLATE "C"
    """,
    # Groups that an operator holds, with or without waiting events.
    f"""
    CREATE TABLE outbox_hold (
        subject text COLLATE "C" PRIMARY KEY,
        lane smallint NOT NULL GENERATED ALWAYS AS (get_byte(decode(md5(subject), 'hex'), 0) % {LANES}) STORED,
        held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        held_by text NOT NULL,
        reason text NOT NULL
    )
    """,
    # The group of a replay of one group, where the walk began, for the progress, and whether it was cancelled.
    """
    ALTER TABLE outbox_replay
        ADD COLUMN subject text COLLATE "C",
        ADD COLUMN from_id bigint NOT NULL DEFAULT 0,
        ADD COLUMN from_at timestamptz,
        ADD COLUMN after_at timestamptz,
        ADD COLUMN until_at timestamptz,
        ADD COLUMN cancelled_at timestamptz,
        ADD COLUMN cancelled_by text
    """,
    # The audit keeps a discarded event without its payload, which may be personal data.
    """
    UPDATE outbox_audit
    SET details = jsonb_set(details, '{row,size}', to_jsonb(coalesce(
            octet_length(details #>> '{row,envelope}'), length(details #>> '{row,envelope_hex}') / 2, 0
        ))) #- '{row,envelope}' #- '{row,envelope_hex}'
    WHERE details #> '{row,envelope}' IS NOT NULL
    """,
    # The state of the broker and of confirmation that relays share and that outlives them: a recreated broker that
    # waits for an operator; the last confirmation, and when its event was sent; outstanding probes, and since when the
    # publish check is broken.
    """
    ALTER TABLE outbox_control
        ADD COLUMN broker_seen text,
        ADD COLUMN broker_seen_at timestamptz,
        ADD COLUMN broker_seen_by text,
        ADD COLUMN confirmed_at timestamptz,
        ADD COLUMN confirmed_sent_at timestamptz,
        ADD COLUMN probes uuid[] NOT NULL DEFAULT '{}',
        ADD COLUMN probed_at timestamptz,
        ADD COLUMN check_broken_at timestamptz
    """,
    # Unsent events only, so that reads skip groups that only wait for confirmation. A published event was sent, so
    # `published_at` is not a condition here.
    """
    CREATE INDEX outbox_event_pending_unsent ON outbox_event (lane, subject, sequence)
    WHERE sent_at IS NULL AND held_at IS NULL
    """,
    # Each relay stores the length of its lease, so that others know when it expires.
    "ALTER TABLE outbox_relay ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 15",
)

STATEMENTS_V4: tuple[str, ...] = (
    # An event that is held only because an event before it is held names that event; the reason is then null.
    """
    ALTER TABLE outbox_event ADD COLUMN held_behind uuid
    """,
    """
    UPDATE outbox_event SET held_behind = substring(held_reason FROM 8)::uuid, held_reason = NULL
    WHERE held_at IS NOT NULL AND held_reason ~ '^behind [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    """,
)

STATEMENTS_V5: tuple[str, ...] = (
    # ANALYZE reads a sample of 30,000 rows, whatever the size of the table. After a fixed number of changes it cost a
    # large table more than the events themselves.
    "ALTER TABLE outbox_event SET (autovacuum_analyze_scale_factor = 0.05)",
)

# The columns that the relay may change: the state of an event, never its content.
STATE = "attempts, sent_at, broker_message_id, published_at, republished, held_at, held_reason, last_error"


def grants(*, writer: str, relay: str) -> tuple[str, ...]:
    """Return the grants of a role that records events, and of a relay's role."""
    return (
        f"GRANT SELECT, INSERT ON outbox_event TO {writer}",
        f"GRANT SELECT, DELETE, UPDATE ({STATE}) ON outbox_event TO {relay}",
        f"GRANT SELECT, UPDATE ON outbox_lane TO {relay}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_relay TO {relay}",
        f"GRANT SELECT, UPDATE ON outbox_control TO {relay}",
        f"GRANT SELECT, INSERT, UPDATE ON outbox_replay TO {relay}",
        f"GRANT SELECT, INSERT, DELETE, UPDATE ON outbox_release TO {relay}",
        f"GRANT SELECT, INSERT ON outbox_audit TO {relay}",
    )


def grants_v2(*, relay: str) -> tuple[str, ...]:
    """Return the grants that the relay needs in addition since version 2, for idempotency keys."""
    return idempotency.grants(KEYS, relay)


def grants_v3(*, writer: str, relay: str) -> tuple[str, ...]:
    """Return the grants that both roles need in addition since version 3."""
    return (
        f"GRANT UPDATE (first_sent_at, first_published_at) ON outbox_event TO {relay}",
        f"GRANT SELECT, INSERT, DELETE, UPDATE ON outbox_hold TO {relay}",
        # Old audit entries and replays are pruned.
        f"GRANT DELETE ON outbox_audit, outbox_replay TO {relay}",
        # The publisher can tell a discarded event from a published one.
        f"GRANT SELECT (event_id, action) ON outbox_audit TO {writer}",
        # The publisher can see whether its outbox has a live relay.
        f"GRANT SELECT ON outbox_relay, outbox_control TO {writer}",
    )


def grants_v4(*, relay: str) -> tuple[str, ...]:
    """Return the grants that the relay needs in addition since version 4."""
    return (f"GRANT UPDATE (held_behind) ON outbox_event TO {relay}",)
