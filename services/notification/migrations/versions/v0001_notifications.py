"""Notifications and their recipients, the inbox, the outbox, and the roles with the grants that they need."""

from __future__ import annotations

from alembic import op

from event_trio.database.roles import close_to_others, create_login_role
from event_trio.inbox import schema as inbox
from event_trio.outbox import schema as outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

API = "notification_api"
RELAY = "notification_relay"

TABLES = (
    # The recipient of an order, from its events, and the sequence of this service's events about it.
    """
    CREATE TABLE order_recipient (
        order_id uuid PRIMARY KEY,
        customer_id text NOT NULL,
        recipient text NOT NULL,
        locale text NOT NULL,
        last_sequence bigint NOT NULL CHECK (last_sequence > 0),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE notification (
        id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES order_recipient (order_id),
        event_id uuid NOT NULL UNIQUE,
        event_type text NOT NULL,
        channel text NOT NULL,
        recipient text NOT NULL,
        locale text NOT NULL,
        subject text NOT NULL,
        body text NOT NULL,
        status text NOT NULL CHECK (status IN ('sent', 'failed')),
        created_at timestamptz NOT NULL,
        sent_at timestamptz CHECK ((status = 'sent') = (sent_at IS NOT NULL))
    )
    """,
    "CREATE INDEX notification_newest ON notification (created_at DESC, id DESC)",
    "CREATE INDEX notification_order ON notification (order_id, created_at DESC, id DESC)",
)

GRANTS = (
    f"GRANT SELECT, INSERT, UPDATE (recipient, locale, last_sequence, updated_at) ON order_recipient TO {API}",
    f"GRANT SELECT, INSERT ON notification TO {API}",
    f"GRANT SELECT ON alembic_version TO {API}, {RELAY}",
)


def upgrade() -> None:
    """Create everything."""
    roles = (create_login_role(API), create_login_role(RELAY), *close_to_others(API, RELAY))
    tables = (*TABLES, *inbox.STATEMENTS_V1, *outbox.STATEMENTS_V1)
    for statement in (*roles, *tables, *GRANTS, *inbox.grants(API), *outbox.grants(writer=API, relay=RELAY)):
        op.execute(statement)
