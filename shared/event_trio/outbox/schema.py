"""The outbox in the database, as statements that a service's first migration runs.

Each version of the outbox is a tuple that a migration of the service runs; a tuple never changes once it was released.
"""

from __future__ import annotations

from ..idempotency import schema as idempotency

# A constant for ever: with another number of lanes a group would be in two of them, and out of order.
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
    # An event leaves it when it is published or held.
    """
    CREATE INDEX outbox_event_pending ON outbox_event (lane, subject, sequence)
    WHERE published_at IS NULL AND held_at IS NULL
    """,
    # A group is held when any of its events is: looked up by subject, and empty as long as nothing is held.
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
    # One row: what holds for all relays of this outbox.
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
    # Events that are to go again. While one of these is not finished, nothing is read: what is replayed comes first.
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
    # Groups that an operator let go; a relay does it in steps, and nobody holds them again meanwhile.
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
"""The table of the answers to operators, whose requests may come again: the relay does not see the service's own."""

STATEMENTS_V2: tuple[str, ...] = idempotency.statements(KEYS)

STATEMENTS_V3: tuple[str, ...] = (
    # Groups are found by byte order, which no upgrade of the C library changes; the lane is made anew, because a
    # column that another is generated from cannot be altered. What goes again keeps when it first went.
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
    # What has waited longest, for figures. It changes when the one above does, so it costs no heap-only update. Every
    # id is above 0: only a statement that says so may be planned with this index, and no other is led astray by it.
    """
    CREATE INDEX outbox_event_oldest ON outbox_event (recorded_at)
    WHERE published_at IS NULL AND held_at IS NULL AND id > 0
    """,
    # What was recorded when, for replays of a time.
    "CREATE INDEX outbox_event_recorded ON outbox_event (recorded_at, id)",
    'ALTER TABLE outbox_release ALTER COLUMN subject TYPE text COLLATE "C"',
    'ALTER TABLE outbox_audit ALTER COLUMN subject TYPE text COLLATE "C"',
    f"""
    ALTER TABLE {KEYS}
        ALTER COLUMN principal TYPE text COLLATE "C",
        ALTER COLUMN key TYPE text COLLATE "C"
    """,
    # Groups that an operator holds, whether or not anything of them waits.
    f"""
    CREATE TABLE outbox_hold (
        subject text COLLATE "C" PRIMARY KEY,
        lane smallint NOT NULL GENERATED ALWAYS AS (get_byte(decode(md5(subject), 'hex'), 0) % {LANES}) STORED,
        held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        held_by text NOT NULL,
        reason text NOT NULL
    )
    """,
    # A replay of one group says which; the place where it began tells how far it is; and one may be cancelled.
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
    # The audit keeps what a discarded event was, and not what it said: that may be personal.
    """
    UPDATE outbox_audit
    SET details = jsonb_set(details, '{row,size}', to_jsonb(coalesce(
            octet_length(details #>> '{row,envelope}'), length(details #>> '{row,envelope_hex}') / 2, 0
        ))) #- '{row,envelope}' #- '{row,envelope_hex}'
    WHERE details #> '{row,envelope}' IS NOT NULL
    """,
    # What is known of the broker and of the way back from it, by all relays and over their restarts: the broker that an
    # operator has to decide about; when the last confirmation came, and of what was sent when; the probes under way,
    # and since when none comes back.
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
    # What is still to be sent, and nothing else: groups that only wait for their confirmation are not in the way of
    # whoever looks for work. Whatever is published was sent, so `published_at` is not asked for here.
    """
    CREATE INDEX outbox_event_pending_unsent ON outbox_event (lane, subject, sequence)
    WHERE sent_at IS NULL AND held_at IS NULL
    """,
    # Each relay says how long its lease is, so that whoever looks on knows when one counts as dead.
    "ALTER TABLE outbox_relay ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 15",
)

# What the relay may change of an event: its state, never what it says.
STATE = "attempts, sent_at, broker_message_id, published_at, republished, held_at, held_reason, last_error"


def grants(*, writer: str, relay: str) -> tuple[str, ...]:
    """The statements that let one role record events, and another carry them."""
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
    """What the relay needs besides, since it answers an operator's request once."""
    return idempotency.grants(KEYS, relay)


def grants_v3(*, writer: str, relay: str) -> tuple[str, ...]:
    """What both need besides, since the third version of the outbox."""
    return (
        f"GRANT UPDATE (first_sent_at, first_published_at) ON outbox_event TO {relay}",
        f"GRANT SELECT, INSERT, DELETE, UPDATE ON outbox_hold TO {relay}",
        # What was done long ago is forgotten, too.
        f"GRANT DELETE ON outbox_audit, outbox_replay TO {relay}",
        # Nor does it say of an event that it was published when an operator discarded it.
        f"GRANT SELECT (event_id, action) ON outbox_audit TO {writer}",
        # The publisher sees whether its outbox is carried; a relay that is down tells nobody.
        f"GRANT SELECT ON outbox_relay, outbox_control TO {writer}",
    )
